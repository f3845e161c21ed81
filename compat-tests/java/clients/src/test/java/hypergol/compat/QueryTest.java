package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Finding messages by key and by id. */
class QueryTest {
    private static DefaultMQProducer producer;

    @BeforeAll
    static void start() throws Exception {
        producer = Cluster.producer();
    }

    @AfterAll
    static void stop() {
        producer.shutdown();
    }

    private static Set<String> byKey(String topic, String key) throws Exception {
        List<MessageExt> found =
            producer.queryMessage(topic, key, 32, System.currentTimeMillis() - 600_000, System.currentTimeMillis() + 600_000).getMessageList();
        return found.stream().map(Inbox::body).collect(Collectors.toSet());
    }

    @Test
    void byKey() throws Exception {
        String topic = Cluster.topic(2);
        for (int i = 0; i < 10; i++) {
            Message m = SendTest.message(topic, "m" + i);
            m.setKeys(List.of("one" + i, "group" + i % 2));
            producer.send(m);
        }
        Cluster.await("the index", () -> byKey(topic, "group1").size() == 5);
        assertEquals(Set.of("m1", "m3", "m5", "m7", "m9"), byKey(topic, "group1"));
        assertEquals(Set.of("m4"), byKey(topic, "one4"));
        assertThrows(MQClientException.class, () -> byKey(topic, "never used"));
        assertThrows(MQClientException.class, () -> byKey(Cluster.topic(1), "one4"), "keys belong to their topic");
    }

    @Test
    void keysWithEqualHashes() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        for (String key : new String[] {"Aa", "BB"}) {
            Message m = SendTest.message(topic, "of " + key);
            m.setKeys(key);
            producer.send(m);
        }
        Cluster.await("the index", () -> byKey(topic, "Aa").size() == 1 && byKey(topic, "BB").size() == 1);
        assertEquals(Set.of("of Aa"), byKey(topic, "Aa"));
        assertEquals(Set.of("of BB"), byKey(topic, "BB"));
    }

    @Test
    void byOffsetMessageId() throws Exception {
        String topic = Cluster.topic(1);
        SendResult sent = producer.send(SendTest.message(topic, "by offset"));
        MessageExt found = producer.viewMessage(topic, sent.getOffsetMsgId());
        assertEquals("by offset", Inbox.body(found));
        assertEquals(sent.getMsgId(), found.getMsgId());
        assertEquals(sent.getQueueOffset(), found.getQueueOffset());
        assertEquals(topic, found.getTopic());
    }

    @Test
    void byUniqueId() throws Exception {
        String topic = Cluster.topic(1);
        SendResult sent = producer.send(SendTest.message(topic, "by unique id"));
        Cluster.await("the index", () -> producer.viewMessage(topic, sent.getMsgId()) != null);
        MessageExt found = producer.viewMessage(topic, sent.getMsgId());
        assertEquals("by unique id", Inbox.body(found));
        assertEquals(sent.getQueueOffset(), found.getQueueOffset());
    }
}
