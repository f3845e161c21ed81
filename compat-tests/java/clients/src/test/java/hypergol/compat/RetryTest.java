package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Messages that come later: sent back by a consumer, dead, delayed. */
class RetryTest {
    private static DefaultMQProducer producer;
    private final List<DefaultMQPushConsumer> started = new ArrayList<>();

    @BeforeAll
    static void start() throws Exception {
        producer = Cluster.producer();
    }

    @AfterAll
    static void stop() {
        producer.shutdown();
    }

    @AfterEach
    void stopConsumers() {
        started.forEach(DefaultMQPushConsumer::shutdown);
    }

    private DefaultMQPushConsumer consume(String group, String topic, int tries, MessageListenerConcurrently listener) throws Exception {
        DefaultMQPushConsumer consumer = Cluster.push(group);
        consumer.setMaxReconsumeTimes(tries);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(listener);
        consumer.start();
        started.add(consumer);
        return consumer;
    }

    @Test
    void sentBackOnceThenDone() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 2);
        Inbox tries = new Inbox();
        consume(Cluster.unique("Retry"), topic, 16, (messages, context) -> {
            tries.add(messages);
            context.setDelayLevelWhenNextConsume(1);
            return messages.get(0).getReconsumeTimes() == 0
                ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        Message m = SendTest.message(topic, "again");
        m.setTags("TagA");
        m.setKeys("key");
        producer.send(m);
        Cluster.await("two tries", () -> tries.size() >= 2);
        MessageExt first = tries.messages().get(0);
        MessageExt second = tries.messages().get(1);
        assertEquals(0, first.getReconsumeTimes());
        assertEquals(1, second.getReconsumeTimes());
        assertEquals("again", Inbox.body(second));
        assertEquals(topic, second.getTopic(), "the client shows the original topic");
        assertEquals("TagA", second.getTags());
        assertEquals("key", second.getKeys());
        assertEquals(first.getMsgId(), second.getMsgId(), "the unique id stays");
        assertTrue(second.getStoreTimestamp() - first.getStoreTimestamp() >= 1000, "level 1 is one second");
    }

    @Test
    void deadAfterTheLastTry() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        String group = Cluster.unique("Dead");
        Inbox tries = new Inbox();
        consume(group, topic, 2, (messages, context) -> {
            tries.add(messages);
            context.setDelayLevelWhenNextConsume(1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        Message m = SendTest.message(topic, "dead");
        m.setKeys("dead-key");
        String id = producer.send(m).getMsgId();
        String dead = "%DLQ%" + group;
        Inbox letters = new Inbox();
        Cluster.await("the dead letter", () -> {
            List<MessageExt> found = new ArrayList<>();
            for (MessageQueue queue : Reader.consumer().fetchSubscribeMessageQueues(dead)) {
                found.addAll(Reader.readAll(queue));
            }
            letters.clear();
            letters.add(found);
            return letters.size() == 1;
        });
        assertEquals(3, tries.size(), "one delivery and two retries");
        MessageExt letter = letters.messages().get(0);
        assertEquals("dead", Inbox.body(letter));
        assertEquals(id, letter.getMsgId());
        assertEquals(topic, letter.getProperty(MessageConst.PROPERTY_RETRY_TOPIC));
        assertEquals("dead-key", letter.getKeys());
    }

    @Test
    void sentBackByHandToTheDead() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        String group = Cluster.unique("Dead");
        consume(group, topic, 16, (messages, context) -> {
            context.setDelayLevelWhenNextConsume(-1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        Message m = SendTest.message(topic, "dead at once");
        m.setKeys("once");
        producer.send(m);
        Cluster.await("the dead letter", () ->
            Cluster.admin().queryMessage("%DLQ%" + group, "once", 10, 0, System.currentTimeMillis() + 60_000).getMessageList().size() == 1);
    }

    @Test
    void delayLevels() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        Inbox inbox = new Inbox();
        consume(Cluster.unique("Delay"), topic, 16, inbox);
        for (int level = 0; level <= 2; level++) {
            Message m = SendTest.message(topic, "level " + level);
            m.setDelayTimeLevel(level);
            m.setKeys("k");
            producer.send(m);
        }
        inbox.awaitAll(List.of("level 0", "level 1", "level 2"));
        assertEquals(List.of("level 0", "level 1", "level 2"), inbox.bodies());
        long[] delays = {0, 1000, 5000};
        for (int level = 0; level <= 2; level++) {
            MessageExt m = inbox.messages().get(level);
            assertEquals(topic, m.getTopic());
            assertEquals("k", m.getKeys());
            assertTrue(m.getStoreTimestamp() - m.getBornTimestamp() >= delays[level] - 5, m.toString());
        }
    }
}
