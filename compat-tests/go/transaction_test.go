package compat

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// byName decides by what a message begins with.
type byName struct{}

func (byName) ExecuteLocalTransaction(m *primitive.Message) primitive.LocalTransactionState {
	return decide(string(m.Body))
}

func (byName) CheckLocalTransaction(m *primitive.MessageExt) primitive.LocalTransactionState {
	return decide(string(m.Body))
}

func decide(body string) primitive.LocalTransactionState {
	if strings.HasPrefix(body, "commit") {
		return primitive.CommitMessageState
	}
	return primitive.RollbackMessageState
}

func TestTransactions(t *testing.T) {
	topic := topicOn(t, 2, anyBroker(t))
	var got inbox
	push(t, unique("GoGroup"), topic, "*", got.listen)
	p, err := rocketmq.NewTransactionProducer(byName{},
		producer.WithNsResolver(resolver()),
		producer.WithGroupName(unique("GoTransactions")),
		producer.WithInstanceName(unique("transactions")),
	)
	must(t, err)
	must(t, p.Start())
	t.Cleanup(func() { _ = p.Shutdown() })
	var committed []string
	for i := 0; i < 20; i++ {
		body := fmt.Sprintf("%s%d", []string{"commit", "rollback"}[i%2], i)
		result, err := p.SendMessageInTransaction(context.Background(), message(topic, body))
		must(t, err)
		if result.State != decide(body) {
			t.Fatalf("%s: state %v", body, result.State)
		}
		if i%2 == 0 {
			committed = append(committed, body)
		}
	}
	got.awaitAll(t, committed)
	time.Sleep(500 * time.Millisecond)
	if bodies := got.bodies(); len(bodies) != len(committed) {
		t.Fatalf("got %v, committed %v", bodies, committed)
	}
}
