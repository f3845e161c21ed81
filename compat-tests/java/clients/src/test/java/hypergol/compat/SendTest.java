package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ConcurrentSkipListSet;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What producers do. */
class SendTest {
    private static DefaultMQProducer producer;

    @BeforeAll
    static void start() throws Exception {
        producer = Cluster.producer();
    }

    @AfterAll
    static void stop() {
        producer.shutdown();
    }

    static Message message(String topic, String body) {
        return new Message(topic, body.getBytes(StandardCharsets.UTF_8));
    }

    private static long messagesIn(String topic) throws Exception {
        long sum = 0;
        for (MessageQueue queue : Cluster.queues(producer, topic)) {
            sum += producer.maxOffset(queue) - producer.minOffset(queue);
        }
        return sum;
    }

    @Test
    void syncAnswersCountQueueOffsets() throws Exception {
        String topic = Cluster.topic(2);
        Map<MessageQueue, Long> next = new TreeMap<>();
        for (int i = 0; i < 24; i++) {
            SendResult result = producer.send(message(topic, "sync " + i));
            assertEquals(SendStatus.SEND_OK, result.getSendStatus());
            assertNotNull(result.getMsgId());
            assertNotNull(result.getOffsetMsgId());
            long expected = next.merge(result.getMessageQueue(), 1L, Long::sum) - 1;
            assertEquals(expected, result.getQueueOffset(), result.toString());
        }
        assertEquals(Set.copyOf(Cluster.queues(producer, topic)), next.keySet(), "the producer spreads over all queues");
        Cluster.await("24 messages", () -> messagesIn(topic) == 24);
    }

    @Test
    void syncToOneQueue() throws Exception {
        String topic = Cluster.topic(3);
        MessageQueue queue = Cluster.queues(producer, topic).get(2);
        for (int i = 0; i < 5; i++) {
            SendResult result = producer.send(message(topic, "queue " + i), queue);
            assertEquals(queue, result.getMessageQueue());
            assertEquals(i, result.getQueueOffset());
        }
    }

    @Test
    void asyncAnswersEverySend() throws Exception {
        String topic = Cluster.topic(4);
        Set<String> ids = new ConcurrentSkipListSet<>();
        ConcurrentLinkedQueue<Throwable> failures = new ConcurrentLinkedQueue<>();
        for (int i = 0; i < 200; i++) {
            producer.send(message(topic, "async " + i), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    ids.add(result.getMsgId());
                }

                @Override
                public void onException(Throwable e) {
                    failures.add(e);
                }
            });
        }
        Cluster.await("200 answers", () -> ids.size() + failures.size() == 200);
        assertTrue(failures.isEmpty(), () -> failures.peek().toString());
        Cluster.await("200 messages", () -> messagesIn(topic) == 200);
    }

    @Test
    void onewayIsStored() throws Exception {
        String topic = Cluster.topic(2);
        for (int i = 0; i < 50; i++) {
            producer.sendOneway(message(topic, "oneway " + i));
        }
        Cluster.await("50 messages", () -> messagesIn(topic) == 50);
    }

    @Test
    void batchIsOneRunOfOffsets() throws Exception {
        String topic = Cluster.topic(1);
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            Message m = message(topic, "batch " + i);
            m.setTags(i % 2 == 0 ? "even" : "odd");
            m.setKeys("key" + i);
            batch.add(m);
        }
        SendResult result = producer.send(batch);
        assertEquals(SendStatus.SEND_OK, result.getSendStatus());
        assertEquals(20, result.getMsgId().split(",").length);
        assertEquals(20, result.getOffsetMsgId().split(",").length);
        List<MessageExt> stored = Reader.readAll(result.getMessageQueue(), 20);
        assertEquals(20, stored.size());
        for (int i = 0; i < 20; i++) {
            MessageExt m = stored.get(i);
            assertEquals("batch " + i, Inbox.body(m));
            assertEquals(i, m.getQueueOffset());
            assertEquals("key" + i, m.getKeys());
            assertEquals(i % 2 == 0 ? "even" : "odd", m.getTags());
            assertEquals(result.getMsgId().split(",")[i], m.getMsgId());
        }
    }

    @Test
    void selectorKeepsTheOrderOfAKey() throws Exception {
        String topic = Cluster.topic(4);
        for (int i = 0; i < 60; i++) {
            int order = i % 6;
            producer.send(message(topic, order + ":" + i / 6), (queues, m, key) -> queues.get((Integer) key % queues.size()), order);
        }
        Cluster.await("60 messages", () -> messagesIn(topic) == 60);
        Map<String, List<Integer>> steps = new TreeMap<>();
        for (MessageQueue queue : Cluster.queues(producer, topic)) {
            for (MessageExt m : Reader.readAll(queue)) {
                String[] parts = Inbox.body(m).split(":");
                steps.computeIfAbsent(parts[0], k -> new ArrayList<>()).add(Integer.valueOf(parts[1]));
            }
        }
        assertEquals(6, steps.size());
        steps.values().forEach(s -> assertEquals(List.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9), s));
    }

    @Test
    void storedMessageIsWhatWasSent() throws Exception {
        String topic = Cluster.topic(1);
        Message m = new Message(topic, "TagA", "k1 k2", 77, "\u4e2d\u6587 body \ud83d\ude00".getBytes(StandardCharsets.UTF_8), true);
        m.putUserProperty("plain", "value");
        m.putUserProperty("wide", "\u4e2d\u6587");
        SendResult result = producer.send(m);
        MessageExt stored = Reader.readAll(result.getMessageQueue(), 1).get(0);
        assertArrayEquals(m.getBody(), stored.getBody());
        assertEquals("TagA", stored.getTags());
        assertEquals("k1 k2", stored.getKeys());
        assertEquals(77, stored.getFlag());
        assertEquals("value", stored.getUserProperty("plain"));
        assertEquals("\u4e2d\u6587", stored.getUserProperty("wide"));
        assertEquals(topic, stored.getTopic());
        assertEquals(0, stored.getReconsumeTimes());
        assertEquals(result.getMsgId(), stored.getMsgId());
        assertTrue(stored.getStoreTimestamp() > 0 && stored.getBornTimestamp() > 0);
    }

    @Test
    void largeBodyIsCompressedOnTheWayAndWholeAgain() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        byte[] text = "a line that repeats itself\n".repeat(10_000).getBytes(StandardCharsets.UTF_8);
        byte[] noise = new byte[1024 * 1024];
        new Random(7).nextBytes(noise);
        MessageQueue queue = producer.send(new Message(topic, text)).getMessageQueue();
        producer.send(new Message(topic, noise));
        List<MessageExt> stored = Reader.readAll(queue, 2);
        assertArrayEquals(text, stored.get(0).getBody());
        assertArrayEquals(noise, stored.get(1).getBody());
        assertTrue(stored.get(0).getStoreSize() < text.length / 10, "stored compressed");
    }

    @Test
    void bodyBeyondTheLimitIsRefused() throws Exception {
        String topic = Cluster.topic(1);
        DefaultMQProducer large = Cluster.producer();
        try {
            large.setMaxMessageSize(8 * 1024 * 1024);
            large.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
            MQBrokerException e = assertThrows(MQBrokerException.class,
                () -> large.send(new Message(topic, new byte[4 * 1024 * 1024 + 1]), 10_000));
            assertEquals(13, e.getResponseCode(), e.toString());
            assertEquals(0, messagesIn(topic));
            assertEquals(SendStatus.SEND_OK, large.send(message(topic, "the connection is still good")).getSendStatus());
        } finally {
            large.shutdown();
        }
    }

    @Test
    void unknownTopicIsCreatedByTheFirstSend() throws Exception {
        String topic = Cluster.unique("Auto");
        SendResult result = producer.send(message(topic, "first"));
        assertEquals(SendStatus.SEND_OK, result.getSendStatus());
        assertEquals("first", Inbox.body(Reader.readAll(result.getMessageQueue(), 1).get(0)));
        Cluster.await("route of " + topic, () -> !Cluster.admin().examineTopicRouteInfo(topic).getQueueDatas().isEmpty());
    }
}
