package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Messages whose producer decides later, with checks every second. */
class TransactionTest {
    private static final Map<String, Map<String, String>> BEFORE = new TreeMap<>();
    /** See {@link KillTest}: client 4.9 gives a broken pull up after 33 s. */
    private static final long LOST_PULL_MILLIS = 90_000;
    private final List<Runnable> started = new ArrayList<>();

    @BeforeAll
    static void checkOften() throws Exception {
        for (String address : Cluster.masters().values()) {
            Properties now = Cluster.admin().getBrokerConfig(address);
            Map<String, String> before = new TreeMap<>();
            for (String key : List.of("transactionCheckInterval", "transactionTimeOut")) {
                before.put(key, now.getProperty(key));
            }
            BEFORE.put(address, before);
            set(address, Map.of("transactionCheckInterval", "1000", "transactionTimeOut", "1000"));
        }
    }

    @AfterAll
    static void checkAsBefore() throws Exception {
        for (var broker : BEFORE.entrySet()) {
            set(broker.getKey(), broker.getValue());
        }
    }

    private static void set(String address, Map<String, String> settings) throws Exception {
        Properties properties = new Properties();
        properties.putAll(settings);
        Cluster.admin().updateBrokerConfig(address, properties);
    }

    @AfterEach
    void stop() {
        started.forEach(Runnable::run);
    }

    /** Decides by the body, first when a message is sent, then whenever the broker asks. */
    private static final class Decisions implements TransactionListener {
        final Function<String, LocalTransactionState> first;
        final Function<String, LocalTransactionState> asked;
        final List<String> questions = new CopyOnWriteArrayList<>();
        final Map<String, String> topics = new ConcurrentHashMap<>();

        Decisions(Function<String, LocalTransactionState> first, Function<String, LocalTransactionState> asked) {
            this.first = first;
            this.asked = asked;
        }

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            return first.apply(new String(message.getBody()));
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            String body = new String(message.getBody());
            topics.put(body, message.getTopic());
            questions.add(body);
            return asked.apply(body);
        }
    }

    private TransactionMQProducer producer(String group, Decisions decisions) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(group);
        producer.setNamesrvAddr(Cluster.NAMESRV);
        producer.setInstanceName(Cluster.unique("transactions"));
        producer.setPollNameServerInterval(Cluster.REFRESH_MS);
        producer.setHeartbeatBrokerInterval(Cluster.REFRESH_MS);
        producer.setTransactionListener(decisions);
        producer.start();
        started.add(producer::shutdown);
        return producer;
    }

    private Inbox consume(String topic) throws Exception {
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = Cluster.push(Cluster.unique("Transactions"));
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(inbox);
        consumer.start();
        started.add(consumer::shutdown);
        return inbox;
    }

    private static LocalTransactionState byName(String body) {
        if (body.startsWith("commit")) {
            return LocalTransactionState.COMMIT_MESSAGE;
        }
        return body.startsWith("rollback") ? LocalTransactionState.ROLLBACK_MESSAGE : LocalTransactionState.UNKNOW;
    }

    private static void send(TransactionMQProducer producer, String topic, String body) throws Exception {
        Message message = SendTest.message(topic, body);
        message.setTags("TagA");
        TransactionSendResult sent = producer.sendMessageInTransaction(message, null);
        assertEquals(SendStatus.SEND_OK, sent.getSendStatus());
        assertEquals(byName(body), sent.getLocalTransactionState());
    }

    @Test
    void onlyCommittedMessagesAreSeen() throws Exception {
        String topic = Cluster.topic(2);
        Inbox inbox = consume(topic);
        Decisions decisions = new Decisions(TransactionTest::byName, body -> LocalTransactionState.ROLLBACK_MESSAGE);
        TransactionMQProducer producer = producer(Cluster.unique("Transactions"), decisions);
        List<String> committed = new ArrayList<>();
        for (int i = 0; i < 30; i++) {
            String body = List.of("commit", "rollback", "unknown").get(i % 3) + i;
            send(producer, topic, body);
            if (body.startsWith("commit")) {
                committed.add(body);
            }
        }
        inbox.awaitAll(committed);
        Cluster.await("questions about all undecided", () -> new HashSet<>(decisions.questions).size() >= 10);
        Thread.sleep(3000);
        assertEquals(new HashSet<>(committed), new HashSet<>(inbox.bodies()));
        assertEquals(committed.size(), inbox.size(), "each once");
        assertTrue(decisions.questions.stream().allMatch(body -> body.startsWith("unknown")), () -> decisions.questions.toString());
        assertEquals(Set.of(topic), new HashSet<>(decisions.topics.values()));
        MessageExt one = inbox.messages().get(0);
        assertEquals("TagA", one.getTags());
        assertEquals(one.getMsgId(), one.getTransactionId() == null ? one.getMsgId() : one.getTransactionId());
    }

    @Test
    void anotherProducerOfTheGroupIsAskedWhenTheFirstIsGone() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        String group = Cluster.unique("Transactions");
        Inbox inbox = consume(topic);
        Decisions silent = new Decisions(body -> LocalTransactionState.UNKNOW, body -> LocalTransactionState.UNKNOW);
        TransactionMQProducer first = producer(group, silent);
        first.sendMessageInTransaction(SendTest.message(topic, "orphan"), null);
        first.sendMessageInTransaction(SendTest.message(topic, "unwanted"), null);
        started.remove(started.size() - 1);
        first.shutdown();
        Decisions heir = new Decisions(body -> LocalTransactionState.UNKNOW, body -> body.equals("orphan")
            ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE);
        TransactionMQProducer second = producer(group, heir);
        // A producer shows itself to a broker once it knows a topic there.
        second.fetchPublishMessageQueues(topic);
        second.send(SendTest.message(topic, "plain"));
        inbox.awaitAll(List.of("plain", "orphan"));
        Cluster.await("both questions", () -> new HashSet<>(heir.questions).size() == 2);
        Thread.sleep(2500);
        assertEquals(Set.of("plain", "orphan"), new HashSet<>(inbox.bodies()));
    }

    @Test
    void undecidedMessagesOutliveARestartAndAKill() throws Exception {
        try (Control control = Control.open()) {
            String topic = Cluster.topicOn("broker-a", 1);
            Inbox inbox = consume(topic);
            Set<String> decided = ConcurrentHashMap.newKeySet();
            Decisions decisions = new Decisions(TransactionTest::byName, body -> decided.contains(body)
                ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.UNKNOW);
            TransactionMQProducer producer = producer(Cluster.unique("Transactions"), decisions);
            send(producer, topic, "commit1");
            send(producer, topic, "unknown1");
            send(producer, topic, "rollback1");
            inbox.awaitAll(List.of("commit1"));
            control.command("restart broker-a");
            decided.add("unknown1");
            inbox.awaitAll(List.of("unknown1"), LOST_PULL_MILLIS);
            Cluster.await("the broker", () -> {
                send(producer, topic, "unknown2");
                return true;
            });
            control.command("kill broker-a");
            control.command("start broker-a");
            decided.add("unknown2");
            inbox.awaitAll(List.of("unknown2"), LOST_PULL_MILLIS);
            assertTrue(inbox.bodies().stream().noneMatch(body -> body.startsWith("rollback")));
        }
    }
}
