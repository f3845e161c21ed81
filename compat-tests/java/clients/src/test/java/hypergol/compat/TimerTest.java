package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Messages with a delivery time of their own. Properties by name: client 4.9 has no methods for them. */
class TimerTest {
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

    private Inbox consume(String topic) throws Exception {
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = Cluster.push(Cluster.unique("Timer"));
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(inbox);
        consumer.start();
        started.add(consumer);
        return inbox;
    }

    private static Message timed(String topic, String body, String property, long value) {
        Message message = SendTest.message(topic, body);
        MessageAccessor.putProperty(message, property, Long.toString(value));
        return message;
    }

    /** Sends messages that are due between 4 and 8 s from now; body to the time that each is due. */
    private static Map<String, Long> sendLater(String topic, int count) throws Exception {
        Map<String, Long> due = new HashMap<>();
        for (int i = 0; i < count; i++) {
            long time = System.currentTimeMillis() + 4000 + i % 5 * 1000;
            producer.send(timed(topic, "m" + i, "TIMER_DELIVER_MS", time));
            due.put("m" + i, time);
        }
        return due;
    }

    private static void assertNoneEarly(Inbox inbox, Map<String, Long> due) {
        for (MessageExt message : inbox.messages()) {
            long time = due.get(Inbox.body(message));
            assertTrue(message.getStoreTimestamp() >= time, () -> Inbox.body(message) + " is early");
        }
    }

    @Test
    void threeWaysToSayWhen() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 2);
        Inbox inbox = consume(topic);
        long now = System.currentTimeMillis();
        producer.send(timed(topic, "seconds", "TIMER_DELAY_SEC", 3));
        producer.send(timed(topic, "milliseconds", "TIMER_DELAY_MS", 1500));
        producer.send(timed(topic, "time", "TIMER_DELIVER_MS", now + 2500));
        producer.send(timed(topic, "past", "TIMER_DELIVER_MS", now - 2500));
        inbox.awaitAll(List.of("seconds", "milliseconds", "time", "past"));
        assertEquals(4, inbox.size());
        assertEquals("past", inbox.bodies().get(0));
        assertNoneEarly(inbox, Map.of("seconds", now + 3000, "milliseconds", now + 1500, "time", now + 2500, "past", now - 2500));
        for (MessageExt message : inbox.messages()) {
            assertEquals(topic, message.getTopic());
        }
    }

    @Test
    void tooFarAheadIsRefused() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        MQBrokerException refused = assertThrows(MQBrokerException.class,
            () -> producer.send(timed(topic, "x", "TIMER_DELAY_SEC", 259_201)));
        assertEquals(13, refused.getResponseCode());
    }

    @Test
    void takenBack() throws Exception {
        Method recall;
        Method handle;
        try {
            recall = DefaultMQProducer.class.getMethod("recallMessage", String.class, String.class);
            handle = SendResult.class.getMethod("getRecallHandle");
        } catch (NoSuchMethodException e) {
            Assumptions.abort("this client takes nothing back");
            return;
        }
        String broker = Cluster.anyBroker();
        Properties enable = new Properties();
        enable.setProperty("recallMessageEnable", "true");
        Cluster.admin().updateBrokerConfig(Cluster.masters().get(broker), enable);
        String topic = Cluster.topicOn(broker, 1);
        Inbox inbox = consume(topic);
        long time = System.currentTimeMillis() + 4000;
        SendResult first = producer.send(timed(topic, "first", "TIMER_DELIVER_MS", time));
        producer.send(timed(topic, "second", "TIMER_DELIVER_MS", time));
        String id = (String) recall.invoke(producer, topic, handle.invoke(first));
        assertEquals(first.getMsgId(), id);
        producer.send(timed(topic, "last", "TIMER_DELIVER_MS", time + 2000));
        inbox.awaitAll(List.of("second", "last"));
        assertFalse(inbox.bodies().contains("first"));
        InvocationTargetException late = assertThrows(InvocationTargetException.class,
            () -> recall.invoke(producer, topic, handle.invoke(first)));
        assertTrue(late.getCause().getMessage().contains("timestamp invalid"), late.getCause().toString());
    }

    @Test
    void overARestart() throws Exception {
        over("restart broker-a", null);
    }

    @Test
    void overAKill() throws Exception {
        over("kill broker-a", "start broker-a");
    }

    private void over(String end, String start) throws Exception {
        Assumptions.assumeTrue(Cluster.masters().containsKey("broker-a"), "no master broker-a");
        try (Control control = Control.open()) {
            String topic = Cluster.topicOn("broker-a", 1);
            Map<String, Long> due = sendLater(topic, 100);
            control.command(end);
            if (start != null) {
                control.command(start);
            }
            Inbox inbox = consume(topic);
            inbox.awaitAll(due.keySet(), 60_000);
            assertNoneEarly(inbox, due);
            if (start == null) {
                assertEquals(due.size(), inbox.size(), "each once");
            }
        }
    }
}
