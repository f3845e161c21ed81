package org.apache.rocketmq.test.base;

import hypergol.compat.Cluster;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.broker.BrokerController;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.TopicAttributes;
import org.apache.rocketmq.common.attribute.CQType;
import org.apache.rocketmq.common.attribute.TopicMessageType;
import org.apache.rocketmq.logging.org.slf4j.Logger;
import org.apache.rocketmq.logging.org.slf4j.LoggerFactory;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.netty.NettyServerConfig;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.test.util.MQAdminTestUtils;

/** Takes the place of the class that starts Java servers in this process: same members, servers elsewhere. */
public class IntegrationTestBase {
    public static Logger logger = LoggerFactory.getLogger(IntegrationTestBase.class);
    /** How long a new topic may take until the name server and the brokers know it. */
    protected static int topicCreateTime = 30;

    /** A name for a folder that does not exist yet. */
    public static String createBaseDir() {
        try {
            return Files.createTempDirectory("compat-store-").resolve("store").toString();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Starts one of our three brokers again when the configuration is that of its stand-in; otherwise a Java broker in
     * this process, as DLedgerProduceAndConsumeIT brings one to our name server.
     */
    public static BrokerController createAndStartBroker(MessageStoreConfig storeConfig, BrokerConfig brokerConfig) {
        BrokerController ours = Cluster.get().startAgain(brokerConfig);
        if (ours != null) {
            return ours;
        }
        NettyServerConfig server = new NettyServerConfig();
        server.setListenPort(0);
        storeConfig.setHaListenPort(0);
        BrokerController java = new BrokerController(brokerConfig, server, new NettyClientConfig(), storeConfig);
        try {
            if (!java.initialize()) {
                throw new IllegalStateException("the Java broker in this process refuses its configuration");
            }
            java.start();
        } catch (Exception e) {
            throw new IllegalStateException("the Java broker in this process does not start", e);
        }
        return java;
    }

    public static boolean initTopic(String topic, String nsAddr, String clusterName, int queueNumbers, CQType cqType) {
        return initTopic(topic, nsAddr, clusterName, queueNumbers, cqType, TopicMessageType.NORMAL);
    }

    public static boolean initTopic(String topic, String nsAddr, String clusterName, CQType cqType) {
        return initTopic(topic, nsAddr, clusterName, BaseConf.QUEUE_NUMBERS, cqType, TopicMessageType.NORMAL);
    }

    public static boolean initTopic(String topic, String nsAddr, String clusterName, TopicMessageType type) {
        return initTopic(topic, nsAddr, clusterName, BaseConf.QUEUE_NUMBERS, CQType.SimpleCQ, type);
    }

    /** @param clusterName a cluster, or a topic on whose brokers the new topic is created */
    public static boolean initTopic(String topic, String nsAddr, String clusterName, int queueNumbers, CQType cqType,
        TopicMessageType type) {
        Map<String, String> attributes = new HashMap<>();
        if (cqType != CQType.SimpleCQ) {
            attributes.put("+" + TopicAttributes.QUEUE_TYPE_ATTRIBUTE.getName(), cqType.toString());
        }
        if (type != TopicMessageType.NORMAL) {
            attributes.put("+" + TopicAttributes.TOPIC_MESSAGE_TYPE_ATTRIBUTE.getName(), type.toString());
        }
        return MQAdminTestUtils.createTopic(nsAddr, clusterName, topic, queueNumbers, attributes, topicCreateTime);
    }
}
