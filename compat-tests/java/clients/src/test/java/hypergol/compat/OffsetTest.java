package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Where a group goes on: committed offsets, a restarted client, a reset by time. */
class OffsetTest {
    private static DefaultMQProducer producer;

    @BeforeAll
    static void start() throws Exception {
        producer = Cluster.producer();
    }

    @AfterAll
    static void stop() {
        producer.shutdown();
    }

    private static List<String> send(String topic, int from, int to) throws Exception {
        List<String> bodies = new ArrayList<>();
        for (int i = from; i < to; i++) {
            producer.send(SendTest.message(topic, "m" + i));
            bodies.add("m" + i);
        }
        return bodies;
    }

    private static DefaultMQPushConsumer consume(String group, String topic, Inbox inbox) throws Exception {
        DefaultMQPushConsumer consumer = Cluster.push(group);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(inbox);
        consumer.start();
        return consumer;
    }

    /** The client would commit for the first time after ten seconds. */
    private static void awaitCommitted(DefaultMQPushConsumer consumer, String group, String topic, long offsets) throws Exception {
        Cluster.await(offsets + " committed", () -> {
            consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
            return committed(group, topic) == offsets;
        });
    }

    private static long committed(String group, String topic) throws Exception {
        long sum = 0;
        for (var entry : Cluster.admin().examineConsumeStats(group, topic).getOffsetTable().entrySet()) {
            if (entry.getKey().getTopic().equals(topic)) {
                sum += entry.getValue().getConsumerOffset();
            }
        }
        return sum;
    }

    @Test
    void committedOffsetsAndResume() throws Exception {
        String topic = Cluster.topic(2);
        String group = Cluster.unique("Offset");
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer first = consume(group, topic, inbox);
        inbox.awaitAll(send(topic, 0, 30));
        awaitCommitted(first, group, topic, 30);
        first.shutdown();

        List<String> later = send(topic, 30, 50);
        Inbox after = new Inbox();
        DefaultMQPushConsumer second = consume(group, topic, after);
        after.awaitAll(later);
        awaitCommitted(second, group, topic, 50);
        second.shutdown();
        assertEquals(Set.copyOf(later), Set.copyOf(after.bodies()), "nothing that was committed comes again");
    }

    @Test
    void shutdownCommits() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        String group = Cluster.unique("Offset");
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = Cluster.push(group);
        consumer.setPersistConsumerOffsetInterval(600_000);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(inbox);
        consumer.start();
        inbox.awaitAll(send(topic, 0, 10));
        Cluster.await("all done in the client", () -> consumer.getDefaultMQPushConsumerImpl().getOffsetStore()
            .cloneOffsetTable(topic).values().stream().mapToLong(Long::longValue).sum() == 10);
        consumer.shutdown();
        Cluster.await("10 committed", () -> committed(group, topic) == 10);
    }

    @Test
    void lagIsVisible() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        String group = Cluster.unique("Offset");
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consume(group, topic, inbox);
        inbox.awaitAll(send(topic, 0, 10));
        awaitCommitted(consumer, group, topic, 10);
        consumer.shutdown();
        send(topic, 10, 17);
        Cluster.await("a lag of 7", () -> Cluster.admin().examineConsumeStats(group, topic).computeTotalDiff() == 7);
    }

    @Test
    void resetByTimeOfARunningGroup() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        String group = Cluster.unique("Reset");
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consume(group, topic, inbox);
        try {
            inbox.awaitAll(send(topic, 0, 10));
            Thread.sleep(20);
            List<String> later = send(topic, 10, 20);
            inbox.awaitAll(later);
            awaitCommitted(consumer, group, topic, 20);
            MessageExt tenth = inbox.messages().stream().filter(m -> Inbox.body(m).equals("m10")).findFirst().orElseThrow();
            inbox.clear();
            var offsets = Cluster.admin().resetOffsetByTimestamp(topic, group, tenth.getStoreTimestamp(), true);
            assertEquals(Set.of(10L), Set.copyOf(offsets.values()));
            inbox.awaitAll(later);
            assertEquals(Set.copyOf(later), Set.copyOf(inbox.bodies()));
        } finally {
            consumer.shutdown();
        }
    }

    @Test
    void offsetSetByTheAdmin() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        String group = Cluster.unique("Reset");
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consume(group, topic, inbox);
        inbox.awaitAll(send(topic, 0, 10));
        consumer.shutdown();
        Cluster.await("10 committed", () -> committed(group, topic) == 10);
        MessageQueue queue = Cluster.queues(producer, topic).get(0);
        Cluster.admin().updateConsumeOffset(Cluster.masters().get(queue.getBrokerName()), group, queue, 4);
        assertEquals(4, committed(group, topic));
        Inbox again = new Inbox();
        DefaultMQPushConsumer second = consume(group, topic, again);
        again.awaitAll(List.of("m4", "m5", "m6", "m7", "m8", "m9"));
        second.shutdown();
        assertEquals(6, again.size());
    }
}
