package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Push consumers that pop, because the brokers were told so. Clients before 5.0 cannot. */
class PopTest {
    /** The first retry of a popped message comes after 10 s, and it takes up to 4 s more until it is there. */
    private static final long RETRY_MILLIS = 60_000;
    /** What a client popped and dropped comes back after 60 s ({@code popInvisibleTime}), and a little later is there. */
    private static final long INVISIBLE_MILLIS = 90_000;

    private static DefaultMQProducer producer;
    private final List<DefaultMQPushConsumer> started = new ArrayList<>();

    @BeforeAll
    static void start() throws Exception {
        Assumptions.assumeTrue(method(DefaultMQAdminExt.class, "setMessageRequestMode") != null, "this client cannot pop");
        producer = Cluster.producer();
    }

    @AfterAll
    static void stop() {
        if (producer != null) {
            producer.shutdown();
        }
    }

    @AfterEach
    void stopConsumers() {
        started.forEach(DefaultMQPushConsumer::shutdown);
    }

    @Test
    void everyMessageOnceBetweenConsumers() throws Exception {
        String topic = Cluster.topic(4);
        String group = Cluster.unique("Pop");
        mode(topic, group, "POP");
        Inbox inbox = new Inbox();
        for (int i = 0; i < 3; i++) {
            consume(group, topic, inbox);
        }
        List<String> sent = send(topic, 300);
        inbox.awaitAll(sent);
        assertEquals(sent.size(), inbox.size(), "acknowledged messages come once");
        assertEquals(Set.of(topic), inbox.messages().stream().map(MessageExt::getTopic).collect(Collectors.toSet()));
        String id = producer.send(SendTest.message(topic, "later")).getMsgId();
        inbox.awaitAll(List.of("later"));
        assertEquals(id, inbox.messages().get(inbox.size() - 1).getMsgId(), "a waiting pop is woken");
    }

    @Test
    void whatFailsComesAgain() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 2);
        String group = Cluster.unique("Pop");
        mode(topic, group, "POP");
        Inbox tries = new Inbox();
        consume(group, topic, (messages, context) -> {
            tries.add(messages);
            boolean fails = messages.stream().anyMatch(m -> Inbox.body(m).equals("m3") && m.getReconsumeTimes() == 0);
            return fails ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        List<String> sent = send(topic, 10);
        tries.awaitAll(sent);
        Cluster.await("the second try", RETRY_MILLIS, () -> tries.size() >= 11);
        List<MessageExt> again = tries.messages().stream().filter(m -> Inbox.body(m).equals("m3")).collect(Collectors.toList());
        assertEquals(List.of(0, 1), again.stream().map(MessageExt::getReconsumeTimes).collect(Collectors.toList()));
        assertEquals(topic, again.get(1).getTopic(), "the client shows the original topic");
        assertEquals(again.get(0).getMsgId(), again.get(1).getMsgId(), "the unique id stays");
        assertEquals(11, tries.size(), "the others came once");
    }

    @Test
    void modesAreSwitchedWhileConsuming() throws Exception {
        String topic = Cluster.topic(2);
        String group = Cluster.unique("Switch");
        mode(topic, group, "PULL");
        Inbox inbox = new Inbox();
        consume(group, topic, inbox);
        List<String> sent = new ArrayList<>();
        // POP at the end: what a client had popped when the mode changed comes back where only pops read.
        for (String mode : List.of("PULL", "POP", "PULL", "POP")) {
            mode(topic, group, mode);
            // Members are told of a new one, and ask for their queues at once instead of within 20 s.
            DefaultMQPushConsumer other = consume(group, topic, inbox);
            for (int i = 0; i < 100; i++) {
                String body = "m" + sent.size();
                producer.send(SendTest.message(topic, body));
                sent.add(body);
                Thread.sleep(20);
            }
            other.shutdown();
        }
        inbox.awaitAll(sent, INVISIBLE_MILLIS);
    }

    @Test
    void popsThatWereNotAcknowledgedOutliveTheBroker() throws Exception {
        try (Control control = Control.open()) {
            Assumptions.assumeTrue(Cluster.masters().containsKey("broker-a"), "no master broker-a");
            String topic = Cluster.topicOn("broker-a", 2);
            String group = Cluster.unique("Pop");
            mode(topic, group, "POP");
            Set<String> consumed = ConcurrentHashMap.newKeySet();
            Set<String> given = ConcurrentHashMap.newKeySet();
            AtomicBoolean dead = new AtomicBoolean();
            consume(group, topic, (messages, context) -> {
                messages.forEach(m -> given.add(Inbox.body(m)));
                while (!dead.get() && messages.stream().anyMatch(m -> Inbox.body(m).hashCode() % 3 == 0)) {
                    pause();
                }
                messages.forEach(m -> consumed.add(Inbox.body(m)));
                return dead.get() && messages.get(0).getReconsumeTimes() == 0 && given.size() % 5 == 0
                    ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            List<String> sent = send(topic, 60);
            Cluster.await("some are given", () -> given.size() >= 4);
            control.command("kill broker-a");
            dead.set(true);
            control.command("start broker-a");
            Cluster.await("the broker", () -> producer.send(SendTest.message(topic, "after")).getSendStatus() == SendStatus.SEND_OK);
            Set<String> wanted = new HashSet<>(sent);
            wanted.add("after");
            Cluster.await("all messages", 120_000, () -> consumed.containsAll(wanted));
        }
    }

    private static List<String> send(String topic, int count) throws Exception {
        List<String> sent = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            producer.send(SendTest.message(topic, "m" + i));
            sent.add("m" + i);
        }
        return sent;
    }

    private DefaultMQPushConsumer consume(String group, String topic, MessageListenerConcurrently listener) throws Exception {
        DefaultMQPushConsumer consumer = Cluster.push(group);
        call(consumer, "setClientRebalance", false);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(listener);
        consumer.start();
        started.add(consumer);
        return consumer;
    }

    /** Tells every broker that has the topic. */
    private static void mode(String topic, String group, String mode) throws Exception {
        Map<String, String> masters = Cluster.masters();
        Method set = method(DefaultMQAdminExt.class, "setMessageRequestMode");
        Object value = Arrays.stream(set.getParameterTypes()[3].getEnumConstants())
            .filter(constant -> constant.toString().equals(mode)).findFirst().orElseThrow();
        for (var data : Cluster.admin().examineTopicRouteInfo(topic).getQueueDatas()) {
            invoke(set, Cluster.admin(), masters.get(data.getBrokerName()), topic, group, value, 0, 5000L);
        }
    }

    private static Method method(Class<?> type, String name) {
        return Arrays.stream(type.getMethods()).filter(m -> m.getName().equals(name)).findFirst().orElse(null);
    }

    private static void call(Object target, String name, Object... arguments) throws Exception {
        invoke(method(target.getClass(), name), target, arguments);
    }

    private static void invoke(Method method, Object target, Object... arguments) throws Exception {
        try {
            method.invoke(target, arguments);
        } catch (InvocationTargetException e) {
            throw new AssertionError(method.getName(), e.getCause());
        }
    }

    private static void pause() {
        try {
            Thread.sleep(50);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
