package compat

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func TestSendSync(t *testing.T) {
	topic := topicOn(t, 2)
	p := newProducer(t)
	next := map[string]int64{}
	for i := 0; i < 24; i++ {
		result, err := p.SendSync(context.Background(), message(topic, fmt.Sprint("sync ", i)))
		must(t, err)
		if result.Status != primitive.SendOK || result.MsgID == "" || result.OffsetMsgID == "" {
			t.Fatalf("%+v", result)
		}
		queue := result.MessageQueue.String()
		if result.QueueOffset != next[queue] {
			t.Fatalf("queue offset %d, expected %d: %v", result.QueueOffset, next[queue], result)
		}
		next[queue]++
	}
	if len(next) != 2*len(masters(t)) {
		t.Fatalf("the producer used %d queues", len(next))
	}
}

func TestSendAsync(t *testing.T) {
	topic := topicOn(t, 4, anyBroker(t))
	p := newProducer(t)
	var good, bad atomic.Int64
	for i := 0; i < 200; i++ {
		must(t, p.SendAsync(context.Background(), func(_ context.Context, result *primitive.SendResult, err error) {
			if err == nil && result.Status == primitive.SendOK {
				good.Add(1)
			} else {
				bad.Add(1)
			}
		}, message(topic, fmt.Sprint("async ", i))))
	}
	await(t, "200 answers", func() bool { return good.Load()+bad.Load() == 200 })
	if bad.Load() != 0 {
		t.Fatalf("%d sends failed", bad.Load())
	}
}

func TestSendOneway(t *testing.T) {
	topic := topicOn(t, 1, anyBroker(t))
	p := newProducer(t)
	var sent []string
	for i := 0; i < 50; i++ {
		sent = append(sent, fmt.Sprint("oneway ", i))
		must(t, p.SendOneWay(context.Background(), message(topic, sent[i])))
	}
	var got inbox
	push(t, unique("GoGroup"), topic, "*", got.listen)
	got.awaitAll(t, sent)
}

func TestSendBatch(t *testing.T) {
	topic := topicOn(t, 1, anyBroker(t))
	p := newProducer(t)
	var batch []*primitive.Message
	for i := 0; i < 20; i++ {
		batch = append(batch, message(topic, fmt.Sprint("batch ", i)).WithTag("TagA").WithKeys([]string{fmt.Sprint("key", i)}))
	}
	result, err := p.SendSync(context.Background(), batch...)
	must(t, err)
	if result.Status != primitive.SendOK || len(strings.Split(result.OffsetMsgID, ",")) != 20 {
		t.Fatalf("%+v", result)
	}
	var got inbox
	push(t, unique("GoGroup"), topic, "TagA", got.listen)
	await(t, "20 messages", func() bool { return len(got.bodies()) == 20 })
	for i, m := range got.messages {
		if string(m.Body) != fmt.Sprint("batch ", m.QueueOffset) || m.GetKeys() != fmt.Sprint("key", m.QueueOffset) {
			t.Fatalf("message %d: %v", i, m)
		}
	}
}

func TestSendKeepsTheOrderOfAKey(t *testing.T) {
	topic := topicOn(t, 4, anyBroker(t))
	p := newProducer(t, producer.WithQueueSelector(producer.NewHashQueueSelector()))
	for i := 0; i < 60; i++ {
		m := message(topic, fmt.Sprint(i/6)).WithShardingKey(fmt.Sprint("order ", i%6))
		_, err := p.SendSync(context.Background(), m)
		must(t, err)
	}
	c := newPullConsumer(t, unique("GoGroup"), topic, "*")
	steps := map[string]string{}
	for _, queue := range queues(t, topic) {
		for _, m := range readAll(t, c, queue) {
			steps[m.GetShardingKey()] += string(m.Body)
		}
	}
	if len(steps) != 6 {
		t.Fatalf("%d keys: %v", len(steps), steps)
	}
	for key, order := range steps {
		if order != "0123456789" {
			t.Fatalf("%s: %s", key, order)
		}
	}
}

func TestStoredMessageIsWhatWasSent(t *testing.T) {
	topic := topicOn(t, 1, anyBroker(t))
	p := newProducer(t)
	small := message(topic, "中文 body 😀").WithTag("TagA").WithKeys([]string{"k1", "k2"})
	small.WithProperty("plain", "value")
	small.WithProperty("wide", "中文")
	// The client compresses what is larger than 4096 bytes.
	large := bytes.Repeat([]byte("a line that repeats itself\n"), 10_000)
	noise := make([]byte, 1<<20)
	rand.New(rand.NewSource(7)).Read(noise)
	result, err := p.SendSync(context.Background(), small)
	must(t, err)
	for _, body := range [][]byte{large, noise} {
		_, err = p.SendSync(context.Background(), primitive.NewMessage(topic, append([]byte(nil), body...)))
		must(t, err)
	}
	var got inbox
	push(t, unique("GoGroup"), topic, "*", got.listen)
	await(t, "3 messages", func() bool { return len(got.bodies()) == 3 })
	for _, m := range got.messages {
		switch m.QueueOffset {
		case 0:
			if string(m.Body) != "中文 body 😀" || m.GetTags() != "TagA" || strings.TrimSpace(m.GetKeys()) != "k1 k2" ||
				m.GetProperty("plain") != "value" || m.GetProperty("wide") != "中文" || m.MsgId != result.MsgID ||
				m.ReconsumeTimes != 0 || m.Topic != topic {
				t.Fatal(m.String())
			}
		case 1:
			if !bytes.Equal(m.Body, large) {
				t.Fatal("the large body came back otherwise")
			}
		case 2:
			if !bytes.Equal(m.Body, noise) {
				t.Fatal("the body of noise came back otherwise")
			}
		}
	}
}

func TestUnknownTopicIsCreatedByTheFirstSend(t *testing.T) {
	topic := unique("GoAuto")
	p := newProducer(t)
	sent := send(t, p, topic, 0, 1)
	await(t, "route of "+topic, func() bool {
		found, err := publishQueues(topic)
		return err == nil && len(found) > 0
	})
	var got inbox
	push(t, unique("GoGroup"), topic, "*", got.listen)
	got.awaitAll(t, sent)
}
