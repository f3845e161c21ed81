package compat

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func TestPushClustering(t *testing.T) {
	topic := topicOn(t, 4, anyBroker(t))
	group := unique("GoGroup")
	p := newProducer(t)
	var one, two inbox
	push(t, group, topic, "*", one.listen)
	push(t, group, topic, "*", two.listen)
	// The members share once both have heard of each other; until then a message may go to either, or twice.
	round := 0
	var sent []string
	await(t, "both members to get messages", func() bool {
		sent = append(sent, send(t, p, topic, round*8, round*8+8)...)
		round++
		time.Sleep(200 * time.Millisecond)
		return len(one.bodies()) > 0 && len(two.bodies()) > 0
	})
	sent = append(sent, send(t, p, topic, round*8, round*8+40)...)
	await(t, "all messages", func() bool {
		got := map[string]bool{}
		for _, body := range append(one.bodies(), two.bodies()...) {
			got[body] = true
		}
		return len(got) == len(sent)
	})
}

func TestPushBroadcasting(t *testing.T) {
	topic := topicOn(t, 2)
	group := unique("GoGroup")
	p := newProducer(t)
	boxes := make([]inbox, 3)
	for i := range boxes {
		push(t, group, topic, "*", boxes[i].listen, consumer.WithConsumerModel(consumer.BroadCasting))
	}
	sent := send(t, p, topic, 0, 40)
	for i := range boxes {
		boxes[i].awaitAll(t, sent)
		if got := len(boxes[i].bodies()); got != 40 {
			t.Fatalf("member %d got %d messages", i, got)
		}
	}
}

func TestPushTags(t *testing.T) {
	topic := topicOn(t, 2)
	p := newProducer(t)
	var some, all inbox
	push(t, unique("GoGroup"), topic, "TagA || TagC", some.listen)
	push(t, unique("GoGroup"), topic, "*", all.listen)
	tags := []string{"TagA", "TagB", "TagC", "TagD"}
	var sent, wanted []string
	for i := 0; i < 60; i++ {
		body := fmt.Sprint("m", i)
		_, err := p.SendSync(context.Background(), message(topic, body).WithTag(tags[i%4]))
		must(t, err)
		sent = append(sent, body)
		if i%2 == 0 {
			wanted = append(wanted, body)
		}
	}
	all.awaitAll(t, sent)
	some.awaitAll(t, wanted)
	if got := len(some.bodies()); got != len(wanted) {
		t.Fatalf("%d messages for TagA || TagC, expected %d", got, len(wanted))
	}
}

// This client hashes a tag's UTF-8 bytes where the store hashed its UTF-16 units. Java's broker goes by the client's
// hash, so that such messages never arrive; a broker that hashes the tag itself delivers them.
func TestPushTagsBeyondASCII(t *testing.T) {
	topic := topicOn(t, 1, anyBroker(t))
	p := newProducer(t)
	var got inbox
	push(t, unique("GoGroup"), topic, "标签", got.listen)
	var wanted []string
	for i := 0; i < 10; i++ {
		body := fmt.Sprint("m", i)
		tag := "other"
		if i%2 == 0 {
			tag = "标签"
			wanted = append(wanted, body)
		}
		_, err := p.SendSync(context.Background(), message(topic, body).WithTag(tag))
		must(t, err)
	}
	for end := time.Now().Add(5 * time.Second); len(got.bodies()) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Skip("the broker goes by the hash that the client sent, as Java's does: nothing arrives")
		}
	}
	got.awaitAll(t, wanted)
	if len(got.bodies()) != len(wanted) {
		t.Fatalf("got %v", got.bodies())
	}
}

func TestPushExpression(t *testing.T) {
	topic := topicOn(t, 2)
	p := newProducer(t)
	var some, all inbox
	c, err := rocketmq.NewPushConsumer(consumerOptions(unique("GoGroup"), nil)...)
	must(t, err)
	selector := consumer.MessageSelector{Type: consumer.SQL92, Expression: "n > 9 AND (n < 20 OR name CONTAINS 'x5')"}
	must(t, c.Subscribe(topic, selector, some.listen))
	must(t, c.Start())
	t.Cleanup(func() { _ = c.Shutdown() })
	push(t, unique("GoGroup"), topic, "*", all.listen)
	var sent, wanted []string
	for i := 0; i < 60; i++ {
		body := fmt.Sprint("m", i)
		m := message(topic, body)
		m.WithProperty("n", fmt.Sprint(i))
		m.WithProperty("name", fmt.Sprint("x", i))
		_, err := p.SendSync(context.Background(), m)
		must(t, err)
		sent = append(sent, body)
		if i > 9 && (i < 20 || i >= 50) {
			wanted = append(wanted, body)
		}
	}
	all.awaitAll(t, sent)
	some.awaitAll(t, wanted)
	if got := len(some.bodies()); got != len(wanted) {
		t.Fatalf("%d messages, expected %d", got, len(wanted))
	}
}

func TestPushOrderly(t *testing.T) {
	topic := topicOn(t, 4, anyBroker(t))
	group := unique("GoOrderly")
	p := newProducer(t, producer.WithQueueSelector(producer.NewHashQueueSelector()))
	var lock sync.Mutex
	seen := map[string]string{}
	count := 0
	listen := func(_ context.Context, given ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		lock.Lock()
		defer lock.Unlock()
		for _, m := range given {
			seen[m.GetShardingKey()] += string(m.Body)
			count++
		}
		return consumer.ConsumeSuccess, nil
	}
	push(t, group, topic, "*", listen, consumer.WithConsumerOrder(true))
	for i := 0; i < 60; i++ {
		_, err := p.SendSync(context.Background(), message(topic, fmt.Sprint(i/6)).WithShardingKey(fmt.Sprint("order ", i%6)))
		must(t, err)
	}
	await(t, "60 messages", func() bool {
		lock.Lock()
		defer lock.Unlock()
		return count >= 60
	})
	lock.Lock()
	defer lock.Unlock()
	for key, order := range seen {
		if order != "0123456789" {
			t.Fatalf("%s: %s", key, order)
		}
	}
}

func TestPushResumes(t *testing.T) {
	topic := topicOn(t, 2)
	group := unique("GoGroup")
	p := newProducer(t)
	var first, second inbox
	c := push(t, group, topic, "*", first.listen)
	first.awaitAll(t, send(t, p, topic, 0, 30))
	must(t, c.Shutdown())
	later := send(t, p, topic, 30, 40)
	push(t, group, topic, "*", second.listen)
	second.awaitAll(t, later)
	got := second.bodies()
	sort.Strings(got)
	if strings.Join(got, " ") != strings.Join(later, " ") {
		t.Fatalf("got %v after the restart, expected %v", got, later)
	}
}

func TestRetryThenDeadLetter(t *testing.T) {
	topic := topicOn(t, 1, anyBroker(t))
	group := unique("GoRetry")
	p := newProducer(t)
	var tries inbox
	push(t, group, topic, "*", func(ctx context.Context, given ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		tries.add(given)
		if concurrent, ok := primitive.GetConcurrentlyCtx(ctx); ok {
			concurrent.DelayLevelWhenNextConsume = 1
		}
		return consumer.ConsumeRetryLater, nil
	}, consumer.WithMaxReconsumeTimes(2))
	_, err := p.SendSync(context.Background(), message(topic, "dead").WithKeys([]string{"dead-key"}))
	must(t, err)
	dead := "%DLQ%" + group
	await(t, "the dead letter's topic", func() bool {
		found, err := publishQueues(dead)
		return err == nil && len(found) > 0
	})
	letters := newPullConsumer(t, unique("GoGroup"), dead, "*")
	var found []*primitive.MessageExt
	await(t, "the dead letter", func() bool {
		found = readAll(t, letters, queues(t, dead)[0])
		return len(found) > 0
	})
	if len(tries.bodies()) != 3 {
		t.Fatalf("%d tries, expected one and two more", len(tries.bodies()))
	}
	for i, m := range tries.messages {
		if int(m.ReconsumeTimes) != i || string(m.Body) != "dead" || m.Topic != topic {
			t.Fatalf("try %d: %v", i, m)
		}
	}
	if len(found) != 1 || string(found[0].Body) != "dead" || strings.TrimSpace(found[0].GetKeys()) != "dead-key" {
		t.Fatalf("%v", found)
	}
}

func TestDelayLevels(t *testing.T) {
	topic := topicOn(t, 1, anyBroker(t))
	p := newProducer(t)
	var got inbox
	push(t, unique("GoGroup"), topic, "*", got.listen)
	for level := 0; level <= 2; level++ {
		m := message(topic, fmt.Sprint("level ", level))
		if level > 0 {
			m.WithDelayTimeLevel(level)
		}
		_, err := p.SendSync(context.Background(), m)
		must(t, err)
	}
	got.awaitAll(t, []string{"level 0", "level 1", "level 2"})
	delays := []int64{0, 1000, 5000}
	for _, m := range got.messages {
		level := int(m.Body[6] - '0')
		if waited := m.StoreTimestamp - m.BornTimestamp; waited < delays[level]-5 {
			t.Fatalf("%s came %d ms after it was born", m.Body, waited)
		}
	}
}

func TestPull(t *testing.T) {
	topic := topicOn(t, 1, anyBroker(t))
	p := newProducer(t)
	send(t, p, topic, 0, 40)
	c := newPullConsumer(t, unique("GoGroup"), topic, "*")
	queue := queues(t, topic)[0]
	await(t, "40 messages", func() bool { return len(readAll(t, c, queue)) == 40 })
	first, err := c.PullFrom(context.Background(), queue, 0, 10)
	must(t, err)
	if first.Status != primitive.PullFound || len(first.GetMessageExts()) != 10 || first.NextBeginOffset != 10 || first.MaxOffset != 40 {
		t.Fatalf("%+v", first)
	}
	last, err := c.PullFrom(context.Background(), queue, 35, 32)
	must(t, err)
	if len(last.GetMessageExts()) != 5 || string(last.GetMessageExts()[0].Body) != "m35" {
		t.Fatalf("%+v", last)
	}
	beyond, err := c.PullFrom(context.Background(), queue, 1000, 32)
	must(t, err)
	if beyond.Status != primitive.PullOffsetIllegal || beyond.NextBeginOffset != 40 {
		t.Fatalf("%+v", beyond)
	}
}

func TestPullByTag(t *testing.T) {
	topic := topicOn(t, 1, anyBroker(t))
	p := newProducer(t)
	for i := 0; i < 30; i++ {
		_, err := p.SendSync(context.Background(), message(topic, fmt.Sprint("m", i)).WithTag(fmt.Sprint("T", i%3)))
		must(t, err)
	}
	c := newPullConsumer(t, unique("GoGroup"), topic, "T1")
	await(t, "10 messages", func() bool { return len(readAll(t, c, queues(t, topic)[0])) == 10 })
}
