package org.apache.rocketmq.test.base;

import hypergol.compat.Admin;
import hypergol.compat.Cluster;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.rocketmq.broker.BrokerController;
import org.apache.rocketmq.client.consumer.MQPullConsumer;
import org.apache.rocketmq.client.consumer.MQPushConsumer;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.MQProducer;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.common.MQVersion;
import org.apache.rocketmq.common.attribute.CQType;
import org.apache.rocketmq.common.attribute.TopicMessageType;
import org.apache.rocketmq.namesrv.NamesrvController;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.test.client.rmq.RMQAsyncSendProducer;
import org.apache.rocketmq.test.client.rmq.RMQNormalConsumer;
import org.apache.rocketmq.test.client.rmq.RMQNormalProducer;
import org.apache.rocketmq.test.client.rmq.RMQTransactionalProducer;
import org.apache.rocketmq.test.clientinterface.AbstractMQConsumer;
import org.apache.rocketmq.test.clientinterface.AbstractMQProducer;
import org.apache.rocketmq.test.clientinterface.MQConsumer;
import org.apache.rocketmq.test.factory.ConsumerFactory;
import org.apache.rocketmq.test.listener.AbstractListener;
import org.apache.rocketmq.test.util.MQAdminTestUtils;
import org.apache.rocketmq.test.util.MQRandomUtils;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.admin.MQAdminExt;
import org.awaitility.Awaitility;

/** Takes the place of the base class of RocketMQ's integration tests: same members, servers elsewhere. */
public class BaseConf {
    protected static final int BROKER_NUM = 3;
    protected static final int WAIT_TIME = 5;
    protected static final int CONSUME_TIME = 120_000;
    protected static final int QUEUE_NUMBERS = 8;
    private static final Duration REGISTRATION_TIME = Duration.ofSeconds(30);
    private static final long DISPATCH_POLL_MS = 100;

    public static final String NAMESRV_ADDR;
    protected static final String CLUSTER_NAME;
    protected static final String BROKER1_NAME;
    protected static final String BROKER2_NAME;
    protected static final String BROKER3_NAME;
    protected static NamesrvController namesrvController;
    protected static BrokerController brokerController1;
    protected static BrokerController brokerController2;
    protected static BrokerController brokerController3;
    protected static List<BrokerController> brokerControllerList;
    protected static Map<String, BrokerController> brokerControllerMap = new LinkedHashMap<>();

    protected static List<Object> mqClients = new ArrayList<>();
    protected static boolean debug;
    private static final ExecutorService CLOSERS = Executors.newCachedThreadPool(task -> {
        Thread thread = new Thread(task, "close-client");
        thread.setDaemon(true);
        return thread;
    });

    static {
        System.setProperty(RemotingCommand.REMOTING_VERSION_KEY, Integer.toString(MQVersion.CURRENT_VERSION));
        NAMESRV_ADDR = Admin.get().namesrvAddr();
        namesrvController = Cluster.get().namesrv();
        brokerController1 = Cluster.get().broker(0);
        brokerController2 = Cluster.get().broker(1);
        brokerController3 = Cluster.get().broker(2);
        brokerControllerList = List.of(brokerController1, brokerController2, brokerController3);
        brokerControllerList.forEach(b -> brokerControllerMap.put(b.getBrokerConfig().getBrokerName(), b));
        CLUSTER_NAME = brokerController1.getBrokerConfig().getBrokerClusterName();
        BROKER1_NAME = brokerController1.getBrokerConfig().getBrokerName();
        BROKER2_NAME = brokerController2.getBrokerConfig().getBrokerName();
        BROKER3_NAME = brokerController3.getBrokerConfig().getBrokerName();
        try {
            MQAdminTestUtils.startAdmin(NAMESRV_ADDR);
        } catch (MQClientException e) {
            throw new IllegalStateException(e);
        }
    }

    public BaseConf() {
        waitBrokerRegistered(NAMESRV_ADDR, CLUSTER_NAME, BROKER_NUM);
    }

    /** @param topic a topic with a route; each cluster and each broker has one of its own name */
    public static void waitBrokerRegistered(String nsAddr, String topic, int brokers) {
        if (!nsAddr.equals(NAMESRV_ADDR)) {
            throw new IllegalArgumentException("there is no other name server than " + NAMESRV_ADDR);
        }
        Awaitility.await().atMost(REGISTRATION_TIME).ignoreExceptions().until(
            () -> Admin.get().ext().examineTopicRouteInfo(topic).getBrokerDatas().size() == brokers);
    }

    /** Waits until every broker has put its whole commit log into the consume queues; false when it takes longer. */
    public boolean awaitDispatchMs(long timeMs) throws InterruptedException {
        long deadline = System.nanoTime() + timeMs * 1_000_000;
        while (System.nanoTime() < deadline) {
            if (brokerControllerList.stream().allMatch(b -> b.getMessageStore().dispatchBehindBytes() == 0)) {
                return true;
            }
            Thread.sleep(DISPATCH_POLL_MS);
        }
        return false;
    }

    public static Set<String> getBrokers() {
        return Set.of(BROKER1_NAME, BROKER2_NAME, BROKER3_NAME);
    }

    public static String initTopic() {
        return initTopicWithName(MQRandomUtils.getRandomTopic());
    }

    public static String initTopic(TopicMessageType type) {
        return initTopicWithName(MQRandomUtils.getRandomTopic(), type);
    }

    public static String initTopicWithName(String topic) {
        return initTopicOnSampleTopicBroker(topic, CLUSTER_NAME);
    }

    public static String initTopicWithName(String topic, TopicMessageType type) {
        return initTopicOnSampleTopicBroker(topic, CLUSTER_NAME, type);
    }

    public static String initTopicOnSampleTopicBroker(String sampleTopic) {
        return initTopicOnSampleTopicBroker(MQRandomUtils.getRandomTopic(), sampleTopic);
    }

    public static String initTopicOnSampleTopicBroker(String sampleTopic, TopicMessageType type) {
        return initTopicOnSampleTopicBroker(MQRandomUtils.getRandomTopic(), sampleTopic, type);
    }

    public static String initTopicOnSampleTopicBroker(String topic, String sampleTopic) {
        IntegrationTestBase.initTopic(topic, NAMESRV_ADDR, sampleTopic, CQType.SimpleCQ);
        return topic;
    }

    public static String initTopicOnSampleTopicBroker(String topic, String sampleTopic, TopicMessageType type) {
        IntegrationTestBase.initTopic(topic, NAMESRV_ADDR, sampleTopic, type);
        return topic;
    }

    public static String initConsumerGroup() {
        return initConsumerGroup(MQRandomUtils.getRandomConsumerGroup());
    }

    public static String initConsumerGroup(String group) {
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        return initConsumerGroup(config);
    }

    public static String initConsumerGroup(SubscriptionGroupConfig config) {
        MQAdminTestUtils.createSub(NAMESRV_ADDR, CLUSTER_NAME, config);
        return config.getGroupName();
    }

    public static DefaultMQAdminExt getAdmin(String nsAddr) {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(3_000);
        admin.setNamesrvAddr(nsAddr);
        admin.setPollNameServerInterval(100);
        return closedLater(admin);
    }

    public static RMQNormalProducer getProducer(String nsAddr, String topic) {
        return getProducer(nsAddr, topic, false);
    }

    public static RMQNormalProducer getProducer(String nsAddr, String topic, boolean useTLS) {
        return closedLater(verbose(new RMQNormalProducer(nsAddr, topic, useTLS)));
    }

    public static RMQNormalProducer getProducer(String nsAddr, String topic, String group, String instanceName) {
        return closedLater(verbose(new RMQNormalProducer(nsAddr, topic, group, instanceName)));
    }

    public static RMQTransactionalProducer getTransactionalProducer(String nsAddr, String topic,
        TransactionListener listener) {
        return closedLater(verbose(new RMQTransactionalProducer(nsAddr, topic, false, listener)));
    }

    public static RMQAsyncSendProducer getAsyncProducer(String nsAddr, String topic) {
        return closedLater(verbose(new RMQAsyncSendProducer(nsAddr, topic)));
    }

    public static RMQNormalConsumer getConsumer(String nsAddr, String topic, String subExpression,
        AbstractListener listener) {
        return getConsumer(nsAddr, topic, subExpression, listener, false);
    }

    public static RMQNormalConsumer getConsumer(String nsAddr, String topic, String subExpression,
        AbstractListener listener, boolean useTLS) {
        return getConsumer(nsAddr, initConsumerGroup(), topic, subExpression, listener, useTLS);
    }

    public static RMQNormalConsumer getConsumer(String nsAddr, String group, String topic, String subExpression,
        AbstractListener listener) {
        return getConsumer(nsAddr, group, topic, subExpression, listener, false);
    }

    public static RMQNormalConsumer getConsumer(String nsAddr, String group, String topic, String subExpression,
        AbstractListener listener, boolean useTLS) {
        RMQNormalConsumer consumer =
            ConsumerFactory.getRMQNormalConsumer(nsAddr, group, topic, subExpression, listener, useTLS);
        if (debug) {
            consumer.setDebug();
        }
        return closedLater(consumer);
    }

    private static <T extends AbstractMQProducer> T verbose(T producer) {
        if (debug) {
            producer.setDebug();
        }
        return producer;
    }

    private static <T> T closedLater(T client) {
        mqClients.add(client);
        return client;
    }

    /** Closes, in the background, every client made since the last call. */
    public static void shutdown() {
        List<Object> clients = new ArrayList<>(mqClients);
        mqClients.clear();
        shutdown(clients);
    }

    public static void shutdown(List<Object> clients) {
        clients.forEach(client -> CLOSERS.execute(() -> close(client)));
    }

    private static void close(Object client) {
        if (client instanceof AbstractMQProducer) {
            ((AbstractMQProducer) client).shutdown();
        } else if (client instanceof AbstractMQConsumer) {
            ((AbstractMQConsumer) client).shutdown();
        } else if (client instanceof MQAdminExt) {
            ((MQAdminExt) client).shutdown();
        } else if (client instanceof MQProducer) {
            ((MQProducer) client).shutdown();
        } else if (client instanceof MQPullConsumer) {
            ((MQPullConsumer) client).shutdown();
        } else if (client instanceof MQPushConsumer) {
            ((MQPushConsumer) client).shutdown();
        } else if (client instanceof MQConsumer) {
            ((MQConsumer) client).shutdown();
        }
    }
}
