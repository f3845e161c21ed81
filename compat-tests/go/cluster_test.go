// Package compat tests a RocketMQ deployment with the official Go client.
package compat

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

// patience is how long anything that has to happen may take. The client looks at the name server every 30 s only.
const patience = 60 * time.Second

var (
	namesrv = environment("NAMESRV_ADDR", "127.0.0.1:9876")
	cluster = environment("COMPAT_CLUSTER", "DefaultCluster")
	run     = strings.ToUpper(strconv.FormatInt(time.Now().UnixMicro(), 36))
	names   atomic.Int64
)

func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func TestMain(m *testing.M) {
	rlog.SetLogLevel("fatal")
	os.Exit(m.Run())
}

func unique(what string) string {
	return fmt.Sprintf("%s_%s_%d", what, run, names.Add(1))
}

func resolver() primitive.NsResolver {
	return primitive.NewPassthroughResolver([]string{namesrv})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await waits until the condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

var bareKey = regexp.MustCompile(`([{,])(\d+):`)

// masters asks the name server which masters there are: broker name to address.
func masters(t *testing.T) map[string]string {
	t.Helper()
	connection, err := net.DialTimeout("tcp", namesrv, 5*time.Second)
	must(t, err)
	defer connection.Close()
	must(t, connection.SetDeadline(time.Now().Add(10*time.Second)))
	header := `{"code":106,"flag":0,"language":"GO","opaque":1,"version":317}`
	frame := binary.BigEndian.AppendUint32(nil, uint32(4+len(header)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(header)))
	_, err = connection.Write(append(frame, header...))
	must(t, err)
	lengths := make([]byte, 8)
	_, err = io.ReadFull(connection, lengths)
	must(t, err)
	rest := make([]byte, binary.BigEndian.Uint32(lengths)-4)
	_, err = io.ReadFull(connection, rest)
	must(t, err)
	var info struct {
		BrokerAddrTable map[string]struct {
			BrokerAddrs map[string]string
			Cluster     string
		}
	}
	body := rest[binary.BigEndian.Uint32(lengths[4:])&0xffffff:]
	must(t, json.Unmarshal(bareKey.ReplaceAll(body, []byte(`$1"$2":`)), &info))
	found := map[string]string{}
	for name, broker := range info.BrokerAddrTable {
		if address := broker.BrokerAddrs["0"]; address != "" && broker.Cluster == cluster {
			found[name] = address
		}
	}
	if len(found) == 0 {
		t.Fatalf("no master in %s", cluster)
	}
	return found
}

func anyBroker(t *testing.T) string {
	var brokers []string
	for name := range masters(t) {
		brokers = append(brokers, name)
	}
	sort.Strings(brokers)
	return brokers[0]
}

// topicOn makes a topic on the named brokers, on all of them when none is named.
func topicOn(t *testing.T, queues int, brokers ...string) string {
	t.Helper()
	topic := unique("GoTopic")
	makeTopic(t, topic, queues, brokers...)
	return topic
}

func makeTopic(t *testing.T, topic string, queues int, brokers ...string) {
	t.Helper()
	tool, err := admin.NewAdmin(admin.WithResolver(resolver()))
	must(t, err)
	defer tool.Close()
	all := masters(t)
	if len(brokers) == 0 {
		for name := range all {
			brokers = append(brokers, name)
		}
	}
	for _, name := range brokers {
		if all[name] == "" {
			t.Skipf("no master %s", name)
		}
		must(t, tool.CreateTopic(context.Background(), admin.WithTopicCreate(topic), admin.WithBrokerAddrCreate(all[name]),
			admin.WithReadQueueNums(queues), admin.WithWriteQueueNums(queues)))
	}
	await(t, "route of "+topic, func() bool {
		found, err := publishQueues(topic)
		return err == nil && len(found) == queues*len(brokers)
	})
}

func newProducer(t *testing.T, options ...producer.Option) rocketmq.Producer {
	t.Helper()
	options = append([]producer.Option{
		producer.WithNsResolver(resolver()),
		producer.WithGroupName(unique("GoProducer")),
		producer.WithInstanceName(unique("producer")),
		producer.WithRetry(2),
	}, options...)
	p, err := rocketmq.NewProducer(options...)
	must(t, err)
	must(t, p.Start())
	t.Cleanup(func() { _ = p.Shutdown() })
	return p
}

func consumerOptions(group string, options []consumer.Option) []consumer.Option {
	return append([]consumer.Option{
		consumer.WithNsResolver(resolver()),
		consumer.WithGroupName(group),
		consumer.WithInstance(unique("consumer")),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}, options...)
}

type listener func(context.Context, ...*primitive.MessageExt) (consumer.ConsumeResult, error)

// push starts a push consumer. The test's end shuts it down, unless the test has done so.
func push(t *testing.T, group, topic, tags string, listen listener, options ...consumer.Option) rocketmq.PushConsumer {
	t.Helper()
	c, err := rocketmq.NewPushConsumer(consumerOptions(group, options)...)
	must(t, err)
	must(t, c.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: tags}, listen))
	must(t, c.Start())
	t.Cleanup(func() { _ = c.Shutdown() })
	return c
}

// inbox keeps what consumers were given.
type inbox struct {
	sync.Mutex
	messages []*primitive.MessageExt
}

func (i *inbox) listen(_ context.Context, given ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
	i.add(given)
	return consumer.ConsumeSuccess, nil
}

func (i *inbox) add(given []*primitive.MessageExt) {
	i.Lock()
	defer i.Unlock()
	i.messages = append(i.messages, given...)
}

func (i *inbox) bodies() []string {
	i.Lock()
	defer i.Unlock()
	var bodies []string
	for _, m := range i.messages {
		bodies = append(bodies, string(m.Body))
	}
	return bodies
}

// awaitAll waits until each of these bodies has come at least once.
func (i *inbox) awaitAll(t *testing.T, wanted []string) {
	t.Helper()
	var missing []string
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		got := map[string]bool{}
		for _, body := range i.bodies() {
			got[body] = true
		}
		missing = missing[:0]
		for _, body := range wanted {
			if !got[body] {
				missing = append(missing, body)
			}
		}
		if len(missing) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d messages did not arrive, such as %s", len(missing), len(wanted), missing[0])
		}
	}
}

func message(topic, body string) *primitive.Message {
	return primitive.NewMessage(topic, []byte(body))
}

// send sends the bodies m<from> .. m<to-1>, one at a time.
func send(t *testing.T, p rocketmq.Producer, topic string, from, to int) []string {
	t.Helper()
	var bodies []string
	for i := from; i < to; i++ {
		body := fmt.Sprintf("m%d", i)
		result, err := p.SendSync(context.Background(), message(topic, body))
		must(t, err)
		if result.Status != primitive.SendOK {
			t.Fatalf("%s: %v", body, result)
		}
		bodies = append(bodies, body)
	}
	return bodies
}

func publishQueues(topic string) ([]*primitive.MessageQueue, error) {
	tool, err := admin.NewAdmin(admin.WithResolver(resolver()))
	if err != nil {
		return nil, err
	}
	defer tool.Close()
	return tool.FetchPublishMessageQueues(context.Background(), topic)
}

// queues of a topic, ordered by broker and number.
func queues(t *testing.T, topic string) []*primitive.MessageQueue {
	t.Helper()
	found, err := publishQueues(topic)
	must(t, err)
	sort.Slice(found, func(a, b int) bool {
		if found[a].BrokerName != found[b].BrokerName {
			return found[a].BrokerName < found[b].BrokerName
		}
		return found[a].QueueId < found[b].QueueId
	})
	return found
}

func newPullConsumer(t *testing.T, group, topic, tags string) rocketmq.PullConsumer {
	t.Helper()
	c, err := rocketmq.NewPullConsumer(consumerOptions(group, nil)...)
	must(t, err)
	must(t, c.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: tags}))
	must(t, c.Start())
	t.Cleanup(func() { _ = c.Shutdown() })
	return c
}

// readAll reads a queue from offset 0 to its end.
func readAll(t *testing.T, c rocketmq.PullConsumer, queue *primitive.MessageQueue) []*primitive.MessageExt {
	t.Helper()
	var all []*primitive.MessageExt
	for offset := int64(0); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		result, err := c.PullFrom(ctx, queue, offset, 32)
		cancel()
		must(t, err)
		if result.Status == primitive.PullFound {
			all = append(all, result.GetMessageExts()...)
		} else if result.NextBeginOffset <= offset {
			return all
		}
		offset = result.NextBeginOffset
		if offset >= result.MaxOffset {
			return all
		}
	}
}

// control is a connection to the runner's control socket.
type control struct {
	net.Conn
	answers *bufio.Reader
}

// openControl skips the running test when the servers are not the runner's to kill.
func openControl(t *testing.T) *control {
	address := os.Getenv("COMPAT_CONTROL")
	if address == "" {
		t.Skip("COMPAT_CONTROL is not set: the servers are not ours to kill")
	}
	connection, err := net.Dial("tcp", address)
	must(t, err)
	t.Cleanup(func() { connection.Close() })
	return &control{connection, bufio.NewReader(connection)}
}

func (c *control) command(t *testing.T, line string) {
	t.Helper()
	_, err := fmt.Fprintln(c, line)
	must(t, err)
	answer, err := c.answers.ReadString('\n')
	must(t, err)
	if answer = strings.TrimSpace(answer); answer != "ok" && !strings.HasPrefix(answer, "ok ") {
		t.Fatalf("%s: %s", line, answer)
	}
}
