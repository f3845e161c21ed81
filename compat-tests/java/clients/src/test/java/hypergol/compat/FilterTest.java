package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntPredicate;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Consumers that filter by SQL92. */
@SuppressWarnings("deprecation")
class FilterTest {
    private static DefaultMQProducer producer;

    @BeforeAll
    static void start() throws Exception {
        for (String address : Cluster.masters().values()) {
            String enabled = Cluster.admin().getBrokerConfig(address).getProperty("enablePropertyFilter");
            assumeTrue("true".equals(enabled), "enablePropertyFilter is off at " + address);
        }
        producer = Cluster.producer();
    }

    @AfterAll
    static void stop() {
        if (producer != null) {
            producer.shutdown();
        }
    }

    /** Messages m0, m1, ... with their number as property n, and every third one with a property third. */
    private static void send(String topic, int from, int to) throws Exception {
        for (int i = from; i < to; i++) {
            Message message = SendTest.message(topic, "m" + i);
            message.putUserProperty("n", String.valueOf(i));
            message.putUserProperty("half", String.valueOf(i / 2.0));
            if (i % 3 == 0) {
                message.putUserProperty("third", "it's m" + i);
            }
            producer.send(message);
        }
    }

    private static List<String> bodies(int to, IntPredicate wanted) {
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < to; i++) {
            if (wanted.test(i)) {
                bodies.add("m" + i);
            }
        }
        return bodies;
    }

    private static void assertOnly(List<String> wanted, Inbox inbox) throws Exception {
        inbox.awaitAll(wanted);
        assertEquals(wanted, inbox.bodies().stream().distinct()
            .sorted((a, b) -> Integer.compare(Integer.parseInt(a.substring(1)), Integer.parseInt(b.substring(1))))
            .collect(java.util.stream.Collectors.toList()));
    }

    private static DefaultMQPushConsumer push(String group, String topic, String expression, Inbox inbox) throws Exception {
        DefaultMQPushConsumer consumer = Cluster.push(group);
        consumer.subscribe(topic, MessageSelector.bySql(expression));
        consumer.registerMessageListener(inbox);
        consumer.start();
        return consumer;
    }

    @Test
    void pushGetsWhatItsExpressionHoldsFor() throws Exception {
        String topic = Cluster.topic(2);
        Inbox some = new Inbox();
        Inbox others = new Inbox();
        DefaultMQPushConsumer one = push(Cluster.unique("Sql"), topic,
            "n BETWEEN 10 AND 39 AND third IS NOT NULL AND half > 5.5", some);
        DefaultMQPushConsumer two = push(Cluster.unique("Sql"), topic,
            "(third STARTSWITH 'it''s' OR n IN ('1', '2')) AND NOT (n >= 6)", others);
        try {
            // What comes while the consumers wait, too.
            send(topic, 0, 30);
            Thread.sleep(500);
            send(topic, 30, 60);
            assertOnly(bodies(60, i -> i >= 12 && i < 40 && i % 3 == 0), some);
            assertOnly(bodies(60, i -> i < 6 && (i % 3 == 0 || i == 1 || i == 2)), others);
        } finally {
            one.shutdown();
            two.shutdown();
        }
    }

    @Test
    void anExpressionThatIsWrongIsToldAtTheStart() throws Exception {
        String topic = Cluster.topic(1);
        for (String wrong : List.of("n > ", "n > 'x'", "NOT 7", "n BETWEEN 5 AND 3")) {
            DefaultMQPushConsumer consumer = Cluster.push(Cluster.unique("Sql"));
            consumer.subscribe(topic, MessageSelector.bySql(wrong));
            consumer.registerMessageListener(new Inbox());
            MQClientException failure = assertThrows(MQClientException.class, consumer::start, wrong);
            assertEquals(23, failure.getResponseCode(), wrong + ": " + failure.getMessage());
            consumer.shutdown();
        }
    }

    @Test
    void pullBringsItsExpression() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        send(topic, 0, 20);
        Cluster.awaitStored(producer, topic, 20);
        DefaultMQPullConsumer consumer = Reader.consumer();
        MessageQueue queue = consumer.fetchSubscribeMessageQueues(topic).iterator().next();
        // The client does not send an expression before a heartbeat has told it the broker's version.
        Cluster.await("the broker's version", () -> consumer.pull(queue, MessageSelector.bySql("TRUE"), 0, 1) != null);
        PullResult some = consumer.pull(queue, MessageSelector.bySql("n >= 5 AND n < 8"), 0, 32);
        assertEquals(PullStatus.FOUND, some.getPullStatus());
        List<String> found = new ArrayList<>();
        some.getMsgFoundList().forEach(m -> found.add(Inbox.body(m)));
        assertEquals(List.of("m5", "m6", "m7"), found);
        assertEquals(20, some.getNextBeginOffset());
        PullResult none = consumer.pull(queue, MessageSelector.bySql("n > 100"), 0, 32);
        assertEquals(PullStatus.NO_MATCHED_MSG, none.getPullStatus());
        assertEquals(20, none.getNextBeginOffset());
    }

    @Test
    void litePullSubscribesByExpression() throws Exception {
        String topic = Cluster.topic(2);
        DefaultLitePullConsumer consumer = Cluster.litePull(Cluster.unique("Sql"));
        consumer.subscribe(topic, MessageSelector.bySql("third IS NULL AND half <= 4.5"));
        consumer.start();
        try {
            send(topic, 0, 20);
            Inbox inbox = new Inbox();
            List<String> wanted = bodies(20, i -> i % 3 != 0 && i <= 9);
            Cluster.await("messages", () -> {
                inbox.add(consumer.poll(200));
                return inbox.bodies().containsAll(wanted);
            });
            assertOnly(wanted, inbox);
        } finally {
            consumer.shutdown();
        }
    }

    @Test
    void aGroupMayChangeItsExpression() throws Exception {
        String topic = Cluster.topic(1);
        String group = Cluster.unique("Sql");
        Inbox before = new Inbox();
        DefaultMQPushConsumer consumer = push(group, topic, "n < 5", before);
        send(topic, 0, 10);
        assertOnly(bodies(10, i -> i < 5), before);
        Thread.sleep(500);
        consumer.shutdown();
        Inbox after = new Inbox();
        consumer = push(group, topic, "n >= 15", after);
        try {
            send(topic, 10, 20);
            assertOnly(bodies(20, i -> i >= 15), after);
            assertTrue(before.size() >= 5);
        } finally {
            consumer.shutdown();
        }
    }
}
