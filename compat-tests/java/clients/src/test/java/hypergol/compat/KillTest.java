package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** A broker dies under load and comes back: no acknowledged message is lost. Not the disk's cache: only the process dies. */
class KillTest {
    private static final int SENDERS = 4;
    private static final int BEFORE = 3000;
    private static final int AFTER = 1000;
    /**
     * A pull that was under way when its connection broke is given up by client 4.9 only 30 s later
     * (consumerTimeoutMillisWhenSuspend) and tried again after 3 s more.
     */
    private static final long LOST_PULL_MILLIS = 90_000;

    @Test
    void killUnderLoadAsyncFlush() throws Exception {
        killUnderLoad("broker-a", "kill broker-a", "start broker-a");
    }

    @Test
    void killUnderLoadSyncFlush() throws Exception {
        killUnderLoad("broker-b", "kill broker-b", "start broker-b");
    }

    @Test
    void restartUnderLoad() throws Exception {
        killUnderLoad("broker-a", "restart broker-a");
    }

    @Test
    void offsetsOutliveTheBroker() throws Exception {
        try (Control control = Control.open()) {
            String topic = topicOn("broker-a", 1);
            String group = Cluster.unique("Kill");
            DefaultMQProducer producer = Cluster.producer();
            Inbox inbox = new Inbox();
            DefaultMQPushConsumer consumer = consume(group, topic, inbox);
            List<String> sent = new ArrayList<>();
            for (int i = 0; i < 20; i++) {
                producer.send(SendTest.message(topic, "m" + i));
                sent.add("m" + i);
            }
            inbox.awaitAll(sent);
            consumer.shutdown();
            Cluster.await("offsets committed", () ->
                Cluster.admin().examineConsumeStats(group, topic).getOffsetTable().values().stream().allMatch(o -> o.getConsumerOffset() == 20));
            control.command("restart broker-a");
            Cluster.await("the broker", () -> producer.send(SendTest.message(topic, "after")).getSendStatus() == SendStatus.SEND_OK);
            Inbox after = new Inbox();
            DefaultMQPushConsumer second = consume(group, topic, after);
            after.awaitAll(List.of("after"));
            second.shutdown();
            producer.shutdown();
            assertEquals(Set.of("after"), Set.copyOf(after.bodies()));
        }
    }

    private static String topicOn(String broker, int queues) throws Exception {
        Assumptions.assumeTrue(Cluster.masters().containsKey(broker), "no master " + broker);
        return Cluster.topicOn(broker, queues);
    }

    private static DefaultMQPushConsumer consume(String group, String topic, Inbox inbox) throws Exception {
        DefaultMQPushConsumer consumer = Cluster.push(group);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(inbox);
        consumer.start();
        return consumer;
    }

    private static void killUnderLoad(String broker, String... commands) throws Exception {
        try (Control control = Control.open()) {
            String topic = topicOn(broker, 4);
            DefaultMQProducer producer = Cluster.producer();
            producer.setRetryTimesWhenSendFailed(0);
            producer.setSendMsgTimeout(2000);
            Inbox inbox = new Inbox();
            DefaultMQPushConsumer consumer = consume(Cluster.unique("Kill"), topic, inbox);

            Set<String> acknowledged = ConcurrentHashMap.newKeySet();
            AtomicInteger numbers = new AtomicInteger();
            AtomicInteger failures = new AtomicInteger();
            AtomicBoolean stop = new AtomicBoolean();
            List<Thread> senders = new ArrayList<>();
            for (int i = 0; i < SENDERS; i++) {
                Thread sender = new Thread(() -> {
                    while (!stop.get()) {
                        String body = "m" + numbers.incrementAndGet();
                        try {
                            if (producer.send(SendTest.message(topic, body)).getSendStatus() == SendStatus.SEND_OK) {
                                acknowledged.add(body);
                            }
                        } catch (Exception e) {
                            failures.incrementAndGet();
                            pause();
                        }
                    }
                });
                sender.start();
                senders.add(sender);
            }
            int atReturn;
            try {
                Cluster.await(BEFORE + " acknowledged", 60_000, () -> acknowledged.size() >= BEFORE);
                for (String command : commands) {
                    control.command(command);
                }
                atReturn = acknowledged.size();
                Cluster.await("sends to be answered again", 60_000, () -> acknowledged.size() >= atReturn + AFTER);
            } finally {
                stop.set(true);
                for (Thread sender : senders) {
                    sender.join();
                }
            }
            assertTrue(failures.get() > 0, "the broker was really away");

            Set<String> stored = new HashSet<>();
            for (MessageQueue queue : Cluster.queues(producer, topic)) {
                long expected = Reader.consumer().minOffset(queue);
                for (MessageExt m : Reader.readAll(queue)) {
                    assertEquals(expected++, m.getQueueOffset(), "queue offsets without a hole in " + queue);
                    stored.add(Inbox.body(m));
                }
            }
            Set<String> lost = new HashSet<>(acknowledged);
            lost.removeAll(stored);
            assertTrue(lost.isEmpty(), () -> lost.size() + " acknowledged messages are gone, such as " + lost.iterator().next());
            inbox.awaitAll(acknowledged, LOST_PULL_MILLIS);
            consumer.shutdown();
            producer.shutdown();
        }
    }

    private static void pause() {
        try {
            Thread.sleep(20);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
