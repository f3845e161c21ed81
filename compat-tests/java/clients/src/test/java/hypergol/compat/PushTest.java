package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Push consumers: sharing, broadcasting, filtering by tag, order. */
class PushTest {
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

    private DefaultMQPushConsumer consume(String group, String topic, String tags, Inbox inbox, String model) throws Exception {
        DefaultMQPushConsumer consumer = Cluster.push(group);
        Cluster.messageModel(consumer, model);
        consumer.subscribe(topic, tags);
        consumer.registerMessageListener(inbox);
        consumer.start();
        started.add(consumer);
        return consumer;
    }

    private static List<String> send(String topic, int from, int to) throws Exception {
        List<String> bodies = new ArrayList<>();
        for (int i = from; i < to; i++) {
            producer.send(SendTest.message(topic, "m" + i));
            bodies.add("m" + i);
        }
        return bodies;
    }

    /** Waits until the group's members have this many queues each, as the servers see it. */
    private static void awaitShare(List<DefaultMQPushConsumer> members, String topic, int queuesEach) throws Exception {
        Cluster.await("a share of " + queuesEach + " queues each", () -> {
            Set<MessageQueue> all = new HashSet<>();
            for (DefaultMQPushConsumer member : members) {
                Set<MessageQueue> own = new HashSet<>();
                member.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet().stream()
                    .filter(q -> q.getTopic().equals(topic)).forEach(own::add);
                if (own.size() != queuesEach) {
                    return false;
                }
                all.addAll(own);
            }
            return all.size() == queuesEach * members.size();
        });
    }

    @Test
    void oneConsumerGetsEverything() throws Exception {
        String topic = Cluster.topic(4);
        List<String> sent = send(topic, 0, 50);
        Inbox inbox = new Inbox();
        consume(Cluster.unique("Group"), topic, "*", inbox, "CLUSTERING");
        sent.addAll(send(topic, 50, 100));
        inbox.awaitAll(sent);
        assertEquals(100, inbox.size(), "each message once");
    }

    @Test
    void aMessageReachesAWaitingConsumerAtOnce() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        Inbox inbox = new Inbox();
        consume(Cluster.unique("Group"), topic, "*", inbox, "CLUSTERING");
        for (int i = 0; i < 5; i++) {
            inbox.awaitAll(send(topic, i, i + 1));
        }
        assertEquals(List.of("m0", "m1", "m2", "m3", "m4"), inbox.bodies());
    }

    @Test
    void membersOfAGroupShareTheQueues() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 4);
        String group = Cluster.unique("Group");
        Inbox one = new Inbox();
        Inbox two = new Inbox();
        List<DefaultMQPushConsumer> members = new ArrayList<>();
        members.add(consume(group, topic, "*", one, "CLUSTERING"));
        awaitShare(members, topic, 4);
        members.add(consume(group, topic, "*", two, "CLUSTERING"));
        awaitShare(members, topic, 2);
        List<String> sent = send(topic, 0, 100);
        Cluster.await("100 messages", () -> one.size() + two.size() >= 100);
        assertEquals(100, one.size() + two.size());
        assertTrue(one.size() > 0 && two.size() > 0);
        Set<String> all = new HashSet<>(one.bodies());
        all.addAll(two.bodies());
        assertEquals(Set.copyOf(sent), all);
    }

    @Test
    void theRestTakesOverWhenAMemberLeaves() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 4);
        String group = Cluster.unique("Group");
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer one = consume(group, topic, "*", inbox, "CLUSTERING");
        DefaultMQPushConsumer two = consume(group, topic, "*", inbox, "CLUSTERING");
        awaitShare(List.of(one, two), topic, 2);
        two.shutdown();
        awaitShare(List.of(one), topic, 4);
        inbox.awaitAll(send(topic, 0, 40));
    }

    @Test
    void groupsDoNotShare() throws Exception {
        String topic = Cluster.topic(2);
        Inbox one = new Inbox();
        Inbox two = new Inbox();
        consume(Cluster.unique("Group"), topic, "*", one, "CLUSTERING");
        consume(Cluster.unique("Group"), topic, "*", two, "CLUSTERING");
        List<String> sent = send(topic, 0, 30);
        one.awaitAll(sent);
        two.awaitAll(sent);
    }

    @Test
    void broadcastingGivesEachMemberEverything() throws Exception {
        String topic = Cluster.topic(2);
        String group = Cluster.unique("Group");
        List<Inbox> inboxes = List.of(new Inbox(), new Inbox(), new Inbox());
        List<DefaultMQPushConsumer> members = new ArrayList<>();
        for (Inbox inbox : inboxes) {
            members.add(consume(group, topic, "*", inbox, "BROADCASTING"));
        }
        List<String> sent = send(topic, 0, 40);
        for (Inbox inbox : inboxes) {
            inbox.awaitAll(sent);
            assertEquals(40, inbox.size());
        }
    }

    @Test
    void onlyTheTagsAskedFor() throws Exception {
        String topic = Cluster.topic(2);
        Inbox some = new Inbox();
        Inbox all = new Inbox();
        consume(Cluster.unique("Group"), topic, "TagA || TagC", some, "CLUSTERING");
        consume(Cluster.unique("Group"), topic, "*", all, "CLUSTERING");
        List<String> wanted = new ArrayList<>();
        List<String> sent = new ArrayList<>();
        String[] tags = {"TagA", "TagB", "TagC", null};
        for (int i = 0; i < 60; i++) {
            Message m = SendTest.message(topic, "m" + i);
            if (tags[i % 4] != null) {
                m.setTags(tags[i % 4]);
            }
            producer.send(m);
            sent.add("m" + i);
            if (i % 2 == 0) {
                wanted.add("m" + i);
            }
        }
        all.awaitAll(sent);
        some.awaitAll(wanted);
        assertEquals(Set.copyOf(wanted), Set.copyOf(some.bodies()));
    }

    @Test
    void tagsWithTheSameHashAreToldApart() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        assertEquals("Aa".hashCode(), "BB".hashCode());
        Inbox inbox = new Inbox();
        consume(Cluster.unique("Group"), topic, "Aa", inbox, "CLUSTERING");
        for (int i = 0; i < 10; i++) {
            Message m = SendTest.message(topic, "m" + i);
            m.setTags(i % 2 == 0 ? "Aa" : "BB");
            producer.send(m);
        }
        inbox.awaitAll(List.of("m0", "m2", "m4", "m6", "m8"));
        assertEquals(5, inbox.size());
    }

    @Test
    void orderlyConsumersKeepEachQueuesOrder() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 4);
        String group = Cluster.unique("Orderly");
        Map<Integer, List<Integer>> seen = new ConcurrentHashMap<>();
        List<DefaultMQPushConsumer> members = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            DefaultMQPushConsumer consumer = Cluster.push(group);
            consumer.subscribe(topic, "*");
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                for (MessageExt m : messages) {
                    List<Integer> queue = seen.computeIfAbsent(m.getQueueId(), k -> new ArrayList<>());
                    synchronized (queue) {
                        queue.add(Integer.valueOf(Inbox.body(m)));
                    }
                }
                return ConsumeOrderlyStatus.SUCCESS;
            });
            consumer.start();
            started.add(consumer);
            members.add(consumer);
        }
        awaitShare(members, topic, 2);
        for (int i = 0; i < 200; i++) {
            producer.send(SendTest.message(topic, Integer.toString(i / 4)), (queues, m, key) -> queues.get((Integer) key), i % 4);
        }
        List<Integer> expected = IntStream.range(0, 50).boxed().collect(Collectors.toList());
        Cluster.await("4 queues of 50 messages", () -> seen.values().stream().mapToInt(List::size).sum() >= 200);
        assertEquals(4, seen.size());
        new TreeMap<>(seen).forEach((queue, numbers) -> assertEquals(expected, numbers, "queue " + queue));
    }

    @Test
    void orderlyConsumerTriesAMessageAgainBeforeTheNext() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        List<String> tries = new ArrayList<>();
        DefaultMQPushConsumer consumer = Cluster.push(Cluster.unique("Orderly"));
        consumer.setSuspendCurrentQueueTimeMillis(100);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            synchronized (tries) {
                String body = Inbox.body(messages.get(0));
                tries.add(body);
                return body.equals("m1") && tries.size() < 4
                    ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT : ConsumeOrderlyStatus.SUCCESS;
            }
        });
        consumer.start();
        started.add(consumer);
        send(topic, 0, 3);
        Cluster.await("the last message", () -> {
            synchronized (tries) {
                return tries.contains("m2");
            }
        });
        assertEquals(List.of("m0", "m1", "m1", "m1", "m2"), tries);
    }

    @Test
    void theServersKnowTheMembers() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        String group = Cluster.unique("Group");
        DefaultMQPushConsumer consumer = consume(group, topic, "TagA", new Inbox(), "CLUSTERING");
        Cluster.await("the group's connection", () -> {
            var connection = Cluster.admin().examineConsumerConnectionInfo(group);
            return connection.getConnectionSet().stream().anyMatch(c -> c.getClientId().equals(consumer.buildMQClientId()))
                && connection.getSubscriptionTable().get(topic).getSubString().equals("TagA");
        });
        consumer.shutdown();
        Cluster.await("the group to be gone", () -> {
            try {
                return Cluster.admin().examineConsumerConnectionInfo(group).getConnectionSet().isEmpty();
            } catch (Exception e) {
                return true;
            }
        });
        assertFalse(started.isEmpty());
    }
}
