package compat

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// A broker dies under load and comes back: no acknowledged message is lost.
func TestKillUnderLoad(t *testing.T) {
	killUnderLoad(t, "broker-a", "kill broker-a", "start broker-a")
}

func TestKillUnderLoadSyncFlush(t *testing.T) {
	killUnderLoad(t, "broker-b", "kill broker-b", "start broker-b")
}

func killUnderLoad(t *testing.T, broker string, commands ...string) {
	const senders, before, after = 4, 2000, 500
	servers := openControl(t)
	topic := topicOn(t, 4, broker)
	p := newProducer(t, producer.WithRetry(0), producer.WithSendMsgTimeout(2*time.Second))
	var got inbox
	push(t, unique("GoKill"), topic, "*", got.listen)

	var lock sync.Mutex
	var acknowledged []string
	var numbers, failures atomic.Int64
	var stop atomic.Bool
	var running sync.WaitGroup
	count := func() int {
		lock.Lock()
		defer lock.Unlock()
		return len(acknowledged)
	}
	for i := 0; i < senders; i++ {
		running.Add(1)
		go func() {
			defer running.Done()
			for !stop.Load() {
				body := fmt.Sprint("m", numbers.Add(1))
				result, err := p.SendSync(context.Background(), message(topic, body))
				if err == nil && result.Status == primitive.SendOK {
					lock.Lock()
					acknowledged = append(acknowledged, body)
					lock.Unlock()
				} else {
					failures.Add(1)
					time.Sleep(20 * time.Millisecond)
				}
			}
		}()
	}
	finish := sync.OnceFunc(func() {
		stop.Store(true)
		running.Wait()
	})
	defer finish()
	await(t, fmt.Sprint(before, " acknowledged"), func() bool { return count() >= before })
	for _, command := range commands {
		servers.command(t, command)
	}
	back := count()
	await(t, "sends to be answered again", func() bool { return count() >= back+after })
	finish()
	if failures.Load() == 0 {
		t.Fatal("the broker was never away")
	}

	c := newPullConsumer(t, unique("GoGroup"), topic, "*")
	stored := map[string]bool{}
	for _, queue := range queues(t, topic) {
		for i, m := range readAll(t, c, queue) {
			if m.QueueOffset != int64(i) {
				t.Fatalf("offset %d at place %d of %v", m.QueueOffset, i, queue)
			}
			stored[string(m.Body)] = true
		}
	}
	for _, body := range acknowledged {
		if !stored[body] {
			t.Fatalf("the acknowledged message %s is gone", body)
		}
	}
	got.awaitAll(t, acknowledged)
}
