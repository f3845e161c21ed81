package compat

import (
	"context"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func TestRequestIsAnswered(t *testing.T) {
	topic := topicOn(t, 1, anyBroker(t))
	answers := newProducer(t)
	push(t, unique("GoGroup"), topic, "*", func(ctx context.Context, given ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, m := range given {
			// The body that the client is given here does not get into the answer.
			answer, err := consumer.CreateReplyMessage(m, nil)
			if err != nil {
				t.Error(err)
				continue
			}
			answer.Body = []byte("answer to " + string(m.Body))
			_, _ = answers.SendSync(ctx, answer)
		}
		return consumer.ConsumeSuccess, nil
	})
	asks := newProducer(t)
	var answer *primitive.Message
	// A client makes itself known to brokers a second after its first send; answers before that find nobody.
	await(t, "an answer", func() bool {
		got, err := asks.Request(context.Background(), 3*time.Second, message(topic, "question"))
		answer = got
		return err == nil
	})
	if string(answer.Body) != "answer to question" {
		t.Fatalf("answered %q", answer.Body)
	}
}

func TestTimers(t *testing.T) {
	topic := topicOn(t, 1, anyBroker(t))
	p := newProducer(t)
	var got inbox
	push(t, unique("GoGroup"), topic, "*", got.listen)
	for body, property := range map[string][2]string{
		"after seconds":      {"TIMER_DELAY_SEC", "3"},
		"after milliseconds": {"TIMER_DELAY_MS", "3000"},
	} {
		m := message(topic, body)
		m.WithProperty(property[0], property[1])
		_, err := p.SendSync(context.Background(), m)
		must(t, err)
	}
	got.awaitAll(t, []string{"after seconds", "after milliseconds"})
	for _, m := range got.messages {
		if waited := m.StoreTimestamp - m.BornTimestamp; waited < 3000-5 {
			t.Fatalf("%s came %d ms after it was born", m.Body, waited)
		}
	}
}

func TestNamespace(t *testing.T) {
	space := unique("Space")
	makeTopic(t, space+"%T", 1, anyBroker(t))
	p := newProducer(t, producer.WithNamespace(space))
	_, err := p.SendSync(context.Background(), message("T", "in the space"))
	must(t, err)
	var inside, outside inbox
	push(t, unique("GoGroup"), "T", "*", inside.listen, consumer.WithNamespace(space))
	push(t, unique("GoGroup"), space+"%T", "*", outside.listen)
	inside.awaitAll(t, []string{"in the space"})
	outside.awaitAll(t, []string{"in the space"})
}
