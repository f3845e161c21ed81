package hypergol.compat;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** The deployment under test: its address, names that no other run uses, topics made for a test. */
final class Cluster {
    static final String NAMESRV = System.getenv().getOrDefault("NAMESRV_ADDR", "127.0.0.1:9876");
    static final String CLUSTER = System.getenv().getOrDefault("COMPAT_CLUSTER", "DefaultCluster");
    /** How long anything that has to happen may take. */
    static final long PATIENCE_MS = 30_000;
    /** How long a client waits before it looks at the name server again, and between its heartbeats. */
    static final int REFRESH_MS = 1000;

    private static final String RUN = Long.toString(
        System.currentTimeMillis() * 1000 + ThreadLocalRandom.current().nextInt(1000), 36).toUpperCase(Locale.ROOT);
    private static final AtomicInteger NAMES = new AtomicInteger();
    private static DefaultMQAdminExt admin;

    private Cluster() {
    }

    static String unique(String what) {
        return what + "_" + RUN + "_" + NAMES.incrementAndGet();
    }

    static synchronized DefaultMQAdminExt admin() throws Exception {
        if (admin == null) {
            admin = new DefaultMQAdminExt(5000L);
            admin.setNamesrvAddr(NAMESRV);
            admin.setAdminExtGroup(unique("admin"));
            admin.setInstanceName(unique("admin"));
            admin.setVipChannelEnabled(false);
            admin.start();
        }
        return admin;
    }

    /** Broker name to address, masters of the cluster only. */
    static Map<String, String> masters() throws Exception {
        Map<String, String> masters = new TreeMap<>();
        for (var broker : admin().examineBrokerClusterInfo().getBrokerAddrTable().values()) {
            String address = broker.getBrokerAddrs().get(0L);
            if (address != null && CLUSTER.equals(broker.getCluster())) {
                masters.put(broker.getBrokerName(), address);
            }
        }
        return masters;
    }

    static String anyBroker() throws Exception {
        return masters().keySet().iterator().next();
    }

    /** A new topic with so many queues on every master. */
    static String topic(int queues) throws Exception {
        return topic(queues, masters());
    }

    /** A new topic on one broker. */
    static String topicOn(String brokerName, int queues) throws Exception {
        String address = masters().get(brokerName);
        if (address == null) {
            throw new IllegalStateException("no master " + brokerName + " in " + CLUSTER);
        }
        return topic(queues, Map.of(brokerName, address));
    }

    private static String topic(int queues, Map<String, String> brokers) throws Exception {
        String topic = unique("Topic");
        for (String address : brokers.values()) {
            admin().createAndUpdateTopicConfig(address, new TopicConfig(topic, queues, queues, 6));
        }
        await("route of " + topic, () -> {
            int seen = 0;
            for (var data : admin().examineTopicRouteInfo(topic).getQueueDatas()) {
                seen += data.getWriteQueueNums();
            }
            return seen == queues * brokers.size();
        });
        return topic;
    }

    static DefaultMQProducer producer() throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(unique("Producer"));
        producer.setNamesrvAddr(NAMESRV);
        producer.setInstanceName(unique("producer"));
        producer.setPollNameServerInterval(REFRESH_MS);
        producer.setHeartbeatBrokerInterval(REFRESH_MS);
        producer.start();
        return producer;
    }

    /** Not started. Begins at the first message, so that what was sent before the start counts too. */
    static DefaultMQPushConsumer push(String group) {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(NAMESRV);
        consumer.setInstanceName(unique("push"));
        consumer.setPollNameServerInterval(REFRESH_MS);
        consumer.setHeartbeatBrokerInterval(REFRESH_MS);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeThreadMin(2);
        consumer.setConsumeThreadMax(2);
        return consumer;
    }

    static DefaultLitePullConsumer litePull(String group) {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(group);
        consumer.setNamesrvAddr(NAMESRV);
        consumer.setInstanceName(unique("lite"));
        consumer.setPollNameServerInterval(REFRESH_MS);
        consumer.setHeartbeatBrokerInterval(REFRESH_MS);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        return consumer;
    }

    /** The enum lives in another package in 4.x and 5.x. */
    static void messageModel(DefaultMQPushConsumer consumer, String name) throws ReflectiveOperationException {
        for (var method : DefaultMQPushConsumer.class.getMethods()) {
            if (method.getName().equals("setMessageModel")) {
                Object[] models = method.getParameterTypes()[0].getEnumConstants();
                for (Object model : models) {
                    if (((Enum<?>) model).name().equals(name)) {
                        method.invoke(consumer, model);
                        return;
                    }
                }
            }
        }
        throw new IllegalArgumentException(name);
    }

    static List<MessageQueue> queues(DefaultMQProducer producer, String topic) throws Exception {
        List<MessageQueue> queues = new ArrayList<>(producer.fetchPublishMessageQueues(topic));
        queues.sort(null);
        return queues;
    }

    /** Waits until the topic's queues hold at least so many messages: what was just sent shows up a moment later. */
    static void awaitStored(DefaultMQProducer producer, String topic, long messages) throws Exception {
        await(messages + " messages in " + topic, () -> {
            long sum = 0;
            for (MessageQueue queue : queues(producer, topic)) {
                sum += producer.maxOffset(queue) - producer.minOffset(queue);
            }
            return sum >= messages;
        });
    }

    /** Waits until the condition holds. An exception counts as not yet. */
    static void await(String what, Callable<Boolean> condition) throws Exception {
        await(what, PATIENCE_MS, condition);
    }

    static void await(String what, long patienceMs, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + patienceMs * 1_000_000;
        Exception last = null;
        while (true) {
            try {
                last = null;
                if (condition.call()) {
                    return;
                }
            } catch (Exception e) {
                last = e;
            }
            if (System.nanoTime() > end) {
                throw new AssertionError("not within " + patienceMs + " ms: " + what, last);
            }
            Thread.sleep(20);
        }
    }
}
