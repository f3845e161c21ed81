package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Consumers that ask by themselves: pull by offset, lite pull by subscription and by assignment. */
@SuppressWarnings("deprecation")
class PullTest {
    private static DefaultMQProducer producer;

    @BeforeAll
    static void start() throws Exception {
        producer = Cluster.producer();
    }

    @AfterAll
    static void stop() {
        producer.shutdown();
    }

    private static List<String> send(String topic, int count) throws Exception {
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            String body = "m" + i;
            producer.send(SendTest.message(topic, body));
            bodies.add(body);
        }
        Cluster.awaitStored(producer, topic, count);
        return bodies;
    }

    private static List<String> poll(DefaultLitePullConsumer consumer, int count) throws Exception {
        List<String> bodies = new ArrayList<>();
        Cluster.await(count + " messages", () -> {
            consumer.poll(200).forEach(m -> bodies.add(Inbox.body(m)));
            return bodies.size() >= count;
        });
        return bodies;
    }

    @Test
    void pullByOffset() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        send(topic, 40);
        DefaultMQPullConsumer consumer = Reader.consumer();
        MessageQueue queue = consumer.fetchSubscribeMessageQueues(topic).iterator().next();
        PullResult first = consumer.pull(queue, "*", 0, 10);
        assertEquals(PullStatus.FOUND, first.getPullStatus());
        assertEquals(10, first.getMsgFoundList().size());
        assertEquals(10, first.getNextBeginOffset());
        assertEquals(0, first.getMinOffset());
        assertEquals(40, first.getMaxOffset());
        PullResult last = consumer.pull(queue, "*", 35, 32);
        assertEquals(IntStream.range(35, 40).mapToObj(i -> "m" + i).collect(Collectors.toList()),
            last.getMsgFoundList().stream().map(Inbox::body).collect(Collectors.toList()));
        PullResult end = consumer.pull(queue, "*", 40, 32);
        assertEquals(PullStatus.NO_NEW_MSG, end.getPullStatus());
        PullResult beyond = consumer.pull(queue, "*", 1000, 32);
        assertEquals(PullStatus.OFFSET_ILLEGAL, beyond.getPullStatus());
        assertEquals(40, beyond.getNextBeginOffset());
    }

    @Test
    void emptyQueue() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        DefaultMQPullConsumer consumer = Reader.consumer();
        MessageQueue queue = consumer.fetchSubscribeMessageQueues(topic).iterator().next();
        assertEquals(0, consumer.maxOffset(queue));
        assertEquals(0, consumer.minOffset(queue));
        assertEquals(PullStatus.NO_NEW_MSG, consumer.pull(queue, "*", 0, 32).getPullStatus());
    }

    @Test
    void tagsAreFilteredOnTheWay() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        for (int i = 0; i < 30; i++) {
            Message m = SendTest.message(topic, "m" + i);
            m.setTags("T" + i % 3);
            producer.send(m);
        }
        Cluster.awaitStored(producer, topic, 30);
        DefaultMQPullConsumer consumer = Reader.consumer();
        MessageQueue queue = consumer.fetchSubscribeMessageQueues(topic).iterator().next();
        PullResult found = consumer.pull(queue, "T1 || T2", 0, 32);
        assertEquals(20, found.getMsgFoundList().size());
        assertTrue(found.getMsgFoundList().stream().noneMatch(m -> m.getTags().equals("T0")));
        PullResult none = consumer.pull(queue, "T9", 0, 32);
        assertEquals(PullStatus.NO_MATCHED_MSG, none.getPullStatus());
        assertEquals(30, none.getNextBeginOffset());
    }

    @Test
    void blockingPullWaitsForAMessage() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        DefaultMQPullConsumer consumer = Reader.consumer();
        MessageQueue queue = consumer.fetchSubscribeMessageQueues(topic).iterator().next();
        Thread sender = new Thread(() -> {
            try {
                Thread.sleep(500);
                send(topic, 1);
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
        sender.start();
        PullResult result = consumer.pullBlockIfNotFound(queue, "*", 0, 32);
        sender.join();
        assertEquals(PullStatus.FOUND, result.getPullStatus());
    }

    @Test
    void offsetsByTime() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        DefaultMQPullConsumer consumer = Reader.consumer();
        send(topic, 5);
        Thread.sleep(20);
        send(topic, 5);
        MessageQueue queue = consumer.fetchSubscribeMessageQueues(topic).iterator().next();
        List<MessageExt> stored = Reader.readAll(queue);
        long sixth = stored.get(5).getStoreTimestamp();
        assertEquals(5, consumer.searchOffset(queue, sixth));
        assertEquals(5, consumer.searchOffset(queue, stored.get(4).getStoreTimestamp() + 1));
        assertEquals(0, consumer.searchOffset(queue, stored.get(0).getStoreTimestamp() - 60_000));
        assertEquals(stored.get(0).getStoreTimestamp(), consumer.earliestMsgStoreTime(queue));
    }

    @Test
    void offsetsOfAPullConsumer() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        send(topic, 3);
        DefaultMQPullConsumer consumer = Reader.consumer();
        MessageQueue queue = consumer.fetchSubscribeMessageQueues(topic).iterator().next();
        consumer.getOffsetStore().updateConsumeOffsetToBroker(queue, 2, false);
        assertEquals(2, consumer.fetchConsumeOffset(queue, true));
    }

    @Test
    void litePullSubscribes() throws Exception {
        String topic = Cluster.topic(2);
        List<String> sent = send(topic, 60);
        DefaultLitePullConsumer consumer = Cluster.litePull(Cluster.unique("Lite"));
        consumer.subscribe(topic, "*");
        consumer.start();
        try {
            List<String> got = poll(consumer, 60);
            assertEquals(60, got.size());
            assertEquals(Set.copyOf(sent), Set.copyOf(got));
        } finally {
            consumer.shutdown();
        }
    }

    @Test
    void litePullResumesWhereItCommitted() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        String group = Cluster.unique("Lite");
        send(topic, 10);
        DefaultLitePullConsumer first = Cluster.litePull(group);
        first.setAutoCommit(false);
        first.subscribe(topic, "*");
        first.start();
        try {
            assertEquals(10, poll(first, 10).size());
            first.commitSync();
        } finally {
            first.shutdown();
        }
        List<String> later = send(topic, 5);
        DefaultLitePullConsumer second = Cluster.litePull(group);
        second.subscribe(topic, "*");
        second.start();
        try {
            assertEquals(later, poll(second, 5));
        } finally {
            second.shutdown();
        }
    }

    @Test
    void litePullAssignsAndSeeks() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 2);
        List<MessageQueue> queues = Cluster.queues(producer, topic);
        for (int i = 0; i < 20; i++) {
            producer.send(SendTest.message(topic, "q0 " + i), queues.get(0));
            producer.send(SendTest.message(topic, "q1 " + i), queues.get(1));
        }
        DefaultLitePullConsumer consumer = Cluster.litePull(Cluster.unique("Assign"));
        consumer.setAutoCommit(false);
        consumer.start();
        try {
            MessageQueue queue = consumer.fetchMessageQueues(topic).stream().filter(q -> q.getQueueId() == 1).findFirst().orElseThrow();
            consumer.assign(List.of(queue));
            assertEquals(IntStream.range(0, 20).mapToObj(i -> "q1 " + i).collect(Collectors.toList()), poll(consumer, 20));
            consumer.seek(queue, 15);
            assertEquals(IntStream.range(15, 20).mapToObj(i -> "q1 " + i).collect(Collectors.toList()), poll(consumer, 5));
            consumer.seekToBegin(queue);
            assertEquals(20, new HashSet<>(poll(consumer, 20)).size());
        } finally {
            consumer.shutdown();
        }
    }
}
