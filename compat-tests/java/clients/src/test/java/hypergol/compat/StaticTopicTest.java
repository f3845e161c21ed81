package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.command.MQAdminStartup;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Queues of a static topic that move from broker to broker, by mqadmin. */
class StaticTopicTest {
    /** Stands for all brokers in the queues of a static topic. */
    private static final String ALL_BROKERS = "__syslo__global__";
    /** mqadmin lets the part of a queue on another broker begin at the next multiple of this. */
    private static final long BLOCK = 10_000;

    private static DefaultMQProducer producer;

    @BeforeAll
    static void start() throws Exception {
        assumeTrue(knowsStaticTopics(), "this client knows no static topics");
        assumeTrue(Cluster.masters().keySet().containsAll(Set.of("broker-a", "broker-b")), "no masters broker-a and broker-b");
        producer = Cluster.producer();
    }

    @AfterAll
    static void stop() {
        if (producer != null) {
            producer.shutdown();
        }
    }

    private static boolean knowsStaticTopics() {
        try {
            Class.forName("org.apache.rocketmq.tools.command.topic.RemappingStaticTopicSubCommand");
            return true;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }

    private static String topic(int queues, String broker) throws Exception {
        String topic = Cluster.unique("Static");
        String[] create = {"updateStaticTopic", "-n", Cluster.NAMESRV, "-t", topic, "-b", broker, "-qn", "" + queues};
        MQAdminStartup.main0(create, null);
        Cluster.await("queues of " + topic, () -> Cluster.queues(producer, topic).size() == queues);
        return topic;
    }

    /** Moves all queues, and waits until the producer sends to the new place: every queue continues at the block's start. */
    private static void remap(String topic, String broker, long block) throws Exception {
        MQAdminStartup.main0(new String[] {"remappingStaticTopic", "-n", Cluster.NAMESRV, "-t", topic, "-b", broker}, null);
        for (MessageQueue queue : Cluster.queues(producer, topic)) {
            Cluster.await(queue + " on " + broker, () -> producer.maxOffset(queue) == block * BLOCK);
        }
    }

    private static List<String> send(String topic, int from, int to) throws Exception {
        List<String> bodies = new ArrayList<>();
        List<MessageQueue> queues = Cluster.queues(producer, topic);
        for (int i = from; i < to; i++) {
            MessageQueue queue = queues.get(i % queues.size());
            SendResult sent = producer.send(SendTest.message(topic, "m" + i), queue);
            assertEquals(queue.getQueueId(), sent.getMessageQueue().getQueueId());
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

    @Test
    void aRunningConsumerFollowsItsQueues() throws Exception {
        String topic = topic(2, "broker-a");
        String group = Cluster.unique("Static");
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consume(group, topic, inbox);
        List<String> sent = send(topic, 0, 20);
        inbox.awaitAll(sent);
        remap(topic, "broker-b", 1);
        sent.addAll(send(topic, 20, 40));
        remap(topic, "broker-a", 2);
        sent.addAll(send(topic, 40, 60));
        inbox.awaitAll(sent);
        assertEquals(sent.size(), inbox.size(), "each once");
        for (MessageExt message : inbox.messages()) {
            int number = Integer.parseInt(Inbox.body(message).substring(1));
            assertEquals(ALL_BROKERS, message.getBrokerName());
            assertEquals(number % 2, message.getQueueId());
            assertEquals(number / 20 * BLOCK + number % 20 / 2, message.getQueueOffset(), Inbox.body(message));
        }
        consumer.shutdown();

        // What was committed counts wherever the queues are.
        remap(topic, "broker-b", 3);
        List<String> later = send(topic, 60, 70);
        Inbox after = new Inbox();
        DefaultMQPushConsumer second = consume(group, topic, after);
        after.awaitAll(later);
        second.shutdown();
        assertEquals(Set.copyOf(later), Set.copyOf(after.bodies()), "nothing that was committed comes again");
    }

    @Test
    void aNewGroupReadsAcrossTheSeams() throws Exception {
        String topic = topic(1, "broker-a");
        List<String> sent = send(topic, 0, 70);
        remap(topic, "broker-b", 1);
        sent.addAll(send(topic, 70, 100));
        remap(topic, "broker-a", 2);
        MessageQueue queue = Cluster.queues(producer, topic).get(0);
        // Moved twice more without a message: nothing is in between.
        remap(topic, "broker-b", 3);
        sent.addAll(send(topic, 100, 101));
        Cluster.await("the last message", () -> producer.maxOffset(queue) == 3 * BLOCK + 1);
        List<MessageExt> read = Reader.readAll(queue);
        assertEquals(sent, read.stream().map(Inbox::body).collect(Collectors.toList()));
        assertEquals(0, producer.minOffset(queue));
        Set<Long> offsets = new HashSet<>();
        read.forEach(message -> offsets.add(message.getQueueOffset()));
        assertEquals(sent.size(), offsets.size());
        assertTrue(offsets.containsAll(Set.of(0L, 69L, BLOCK, BLOCK + 29, 3 * BLOCK)));
    }

    @Test
    void mappingsSurviveAKill() throws Exception {
        try (Control control = Control.open()) {
            String topic = topic(1, "broker-a");
            List<String> sent = send(topic, 0, 10);
            remap(topic, "broker-b", 1);
            sent.addAll(send(topic, 10, 20));
            for (String broker : List.of("broker-a", "broker-b")) {
                control.command("kill " + broker);
                control.command("start " + broker);
            }
            MessageQueue queue = Cluster.queues(producer, topic).get(0);
            Cluster.await("the leader", () -> producer.maxOffset(queue) == BLOCK + 10);
            sent.addAll(send(topic, 20, 21));
            Cluster.await("all messages in order", () ->
                sent.equals(Reader.readAll(queue).stream().map(Inbox::body).collect(Collectors.toList())));
        }
    }
}
