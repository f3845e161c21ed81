package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.command.MQAdminStartup;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Queues that are no plain ones: light queues, and those of compacted topics. */
class QueueKindsTest {
    private static final int ROUNDS = 40;
    private static final int KEYS = 5;

    private static DefaultMQProducer producer;

    @BeforeAll
    static void start() throws Exception {
        producer = Cluster.producer();
    }

    @AfterAll
    static void stop() {
        producer.shutdown();
    }

    @Test
    void aMessageComesIntoTheLightQueuesItNames() throws Exception {
        String broker = Cluster.anyBroker();
        String topic = Cluster.topicOn(broker, 1);
        String first = "%LMQ%" + Cluster.unique("Light");
        String second = "%LMQ%" + Cluster.unique("Light");
        for (int i = 0; i < 60; i++) {
            Message message = SendTest.message(topic, "m" + i);
            MessageAccessor.putProperty(message, "INNER_MULTI_DISPATCH", i % 3 == 0 ? first + "," + second : first);
            producer.send(message);
        }
        Cluster.awaitStored(producer, topic, 60);
        MessageQueue plain = Reader.consumer().fetchSubscribeMessageQueues(topic).iterator().next();
        String offsets = Reader.readAll(plain, 60).get(3).getProperty("INNER_MULTI_QUEUE_OFFSET");
        assumeTrue(offsets != null, "enableLmq and enableMultiDispatch are not set");
        assertEquals("3,1", offsets);
        Map<String, Integer> steps = Map.of(first, 1, second, 3);
        for (String name : List.of(first, second)) {
            MessageQueue queue = new MessageQueue(name, broker, 0);
            List<String> wanted = new ArrayList<>();
            for (int i = 0; i < 60; i += steps.get(name)) {
                wanted.add("m" + i);
            }
            List<MessageExt> found = Reader.readAll(queue, wanted.size());
            assertEquals(wanted, found.stream().map(Inbox::body).collect(Collectors.toList()));
        }
    }

    @Test
    void theLastMessageOfEachKeyStays() throws Exception {
        assumeTrue(knowsTopicAttributes(), "this client knows no attributes of topics");
        String broker = Cluster.anyBroker();
        String topic = Cluster.unique("Compacted");
        String[] create = {"updateTopic", "-n", Cluster.NAMESRV, "-b", Cluster.masters().get(broker), "-t", topic,
            "-r", "1", "-w", "1", "-a", "+cleanup.policy=COMPACTION"};
        MQAdminStartup.main0(create, null);
        Cluster.await("the queue of " + topic, () -> Cluster.queues(producer, topic).size() == 1);
        assertThrows(MQBrokerException.class, () -> producer.send(SendTest.message(topic, "without a key")));
        Map<String, String> last = new HashMap<>();
        for (int i = 0; i < ROUNDS * KEYS; i++) {
            String body = "m" + i;
            Message message = SendTest.message(topic, body);
            message.setKeys("key" + i % KEYS);
            producer.send(message);
            last.put("key" + i % KEYS, body);
        }
        Cluster.awaitStored(producer, topic, ROUNDS * KEYS);
        MessageQueue queue = Reader.consumer().fetchSubscribeMessageQueues(topic).iterator().next();
        // In a deployment with RocketMQ's settings compaction waits for 15 minutes and larger files.
        boolean soon = System.getenv("COMPAT_CONTROL") != null;
        Cluster.await("compaction", () -> {
            List<MessageExt> found = Reader.readAll(queue);
            Map<String, String> values = new HashMap<>();
            found.forEach(m -> values.put(m.getKeys(), Inbox.body(m)));
            assertEquals(last, values);
            List<Long> offsets = found.stream().map(MessageExt::getQueueOffset).collect(Collectors.toList());
            assertEquals(offsets.stream().sorted().distinct().collect(Collectors.toList()), offsets);
            assertTrue(offsets.get(offsets.size() - 1) == ROUNDS * KEYS - 1);
            return !soon || found.size() < ROUNDS * KEYS / 2;
        });
    }

    private static boolean knowsTopicAttributes() {
        try {
            Class.forName("org.apache.rocketmq.common.TopicAttributes");
            return true;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }
}
