package hypergol.compat;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentMap;
import org.apache.rocketmq.broker.BrokerController;
import org.apache.rocketmq.broker.offset.ConsumerOffsetManager;
import org.apache.rocketmq.broker.subscription.SubscriptionGroupManager;
import org.apache.rocketmq.broker.topic.TopicConfigManager;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.OffsetNotFoundException;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.header.QueryConsumerOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.mockito.Mockito;
import org.mockito.stubbing.Answer;

/**
 * Stand-in for the BrokerController of a broker in another process. What the official tests ask of it is answered by
 * admin requests; everything else is {@link Unsupported}.
 */
public final class RemoteBroker {
    private final String name;
    private String addr;
    /** Set by shutdown(): settings then wait for the next start. */
    private boolean stopped;
    private final Map<String, String> forNextStart = new LinkedHashMap<>();

    private final BrokerController standIn = mock(BrokerController.class);
    private final LiveConfig<BrokerConfig> brokerConfig;
    private final LiveConfig<MessageStoreConfig> storeConfig;

    public RemoteBroker(String name) {
        this.name = name;
        this.addr = Admin.get().masters().get(name);
        Properties values = ask(() -> Admin.get().api().getBrokerConfig(addr, Admin.TIMEOUT_MS));
        brokerConfig = new LiveConfig<>(new BrokerConfig(), BrokerConfig.class, values, this::configure);
        storeConfig = new LiveConfig<>(new MessageStoreConfig(), MessageStoreConfig.class, values, this::configure);

        answer(call -> name).when(standIn).toString();
        answer(call -> addr).when(standIn).getBrokerAddr();
        answer(call -> brokerConfig.standIn()).when(standIn).getBrokerConfig();
        answer(call -> storeConfig.standIn()).when(standIn).getMessageStoreConfig();
        DefaultMessageStore store = ask(this::messageStore);
        answer(call -> store).when(standIn).getMessageStore();
        TopicConfigManager topics = topicConfigManager();
        answer(call -> topics).when(standIn).getTopicConfigManager();
        SubscriptionGroupManager groups = subscriptionGroupManager();
        answer(call -> groups).when(standIn).getSubscriptionGroupManager();
        ConsumerOffsetManager offsets = consumerOffsetManager();
        answer(call -> offsets).when(standIn).getConsumerOffsetManager();
        // Any change of the permission makes a broker register at once; so does the same value again.
        answer(call -> {
            configure("brokerPermission", String.valueOf(brokerConfig.standIn().getBrokerPermission()));
            return null;
        }).when(standIn).registerBrokerAll(Mockito.anyBoolean(), Mockito.anyBoolean(), Mockito.anyBoolean());
        answer(call -> {
            Control.command("stop " + name);
            stopped = true;
            return null;
        }).when(standIn).shutdown();
    }

    public BrokerController standIn() {
        return standIn;
    }

    /** Whether this configuration object belongs to this broker. */
    public boolean owns(BrokerConfig config) {
        return config == brokerConfig.standIn();
    }

    /** Starts the broker again after {@code standIn().shutdown()}, with the settings made meanwhile. */
    public void start() {
        forNextStart.forEach((key, value) -> Control.command("set " + name + " " + key + "=" + value));
        forNextStart.clear();
        Control.command("start " + name);
        stopped = false;
        addr = Admin.get().masters().get(name);
    }

    /** Puts back the settings that the last test class changed. */
    public void restoreConfig() {
        if (stopped) {
            start();
        }
        brokerConfig.restore();
        storeConfig.restore();
    }

    private void configure(String key, String value) {
        if (stopped) {
            forNextStart.put(key, value);
            return;
        }
        Properties one = new Properties();
        one.setProperty(key, value);
        ask(() -> {
            Admin.get().api().updateBrokerConfig(addr, one, Admin.TIMEOUT_MS);
            return null;
        });
    }

    private DefaultMessageStore messageStore() throws Exception {
        DefaultMessageStore store = mock(DefaultMessageStore.class);
        answer(call -> Admin.get().api().getMaxOffset(addr, queue(call.getArgument(0), call.getArgument(1)),
            Admin.TIMEOUT_MS)).when(store).getMaxOffsetInQueue(Mockito.anyString(), Mockito.anyInt());
        answer(call -> Admin.get().api().getMinOffset(addr, queue(call.getArgument(0), call.getArgument(1)),
            Admin.TIMEOUT_MS)).when(store).getMinOffsetInQueue(Mockito.anyString(), Mockito.anyInt());
        answer(call -> Long.parseLong(Admin.get().api().getBrokerRuntimeInfo(addr, Admin.TIMEOUT_MS)
            .getTable().get("dispatchBehindBytes"))).when(store).dispatchBehindBytes();
        answer(call -> Admin.get().api().cleanUnusedTopicByAddr(addr, Admin.TIMEOUT_MS) ? 1 : 0)
            .when(store).cleanUnusedTopic(Mockito.<Set<String>>any());
        return store;
    }

    private TopicConfigManager topicConfigManager() {
        TopicConfigManager topics = mock(TopicConfigManager.class);
        answer(call -> topicTable()).when(topics).getTopicConfigTable();
        answer(call -> {
            Admin.get().ext().createAndUpdateTopicConfig(addr, call.getArgument(0));
            return null;
        }).when(topics).updateTopicConfig(Mockito.any(TopicConfig.class));
        return topics;
    }

    private ConcurrentMap<String, TopicConfig> topicTable() throws Exception {
        return Admin.get().api().getAllTopicConfig(addr, Admin.TIMEOUT_MS).getTopicConfigTable();
    }

    private SubscriptionGroupManager subscriptionGroupManager() {
        SubscriptionGroupManager groups = mock(SubscriptionGroupManager.class);
        // Inside a broker, asking for an unknown group creates it.
        answer(call -> {
            String group = call.getArgument(0);
            try {
                SubscriptionGroupConfig config = Admin.get().ext().examineSubscriptionGroupConfig(addr, group);
                if (config != null) {
                    return config;
                }
            } catch (MQBrokerException e) {
                // Not there: created below.
            }
            SubscriptionGroupConfig created = new SubscriptionGroupConfig();
            created.setGroupName(group);
            Admin.get().ext().createAndUpdateSubscriptionGroupConfig(addr, created);
            return created;
        }).when(groups).findSubscriptionGroupConfig(Mockito.anyString());
        answer(call -> {
            Admin.get().ext().createAndUpdateSubscriptionGroupConfig(addr, call.getArgument(0));
            return null;
        }).when(groups).updateSubscriptionGroupConfig(Mockito.any(SubscriptionGroupConfig.class));
        return groups;
    }

    private ConsumerOffsetManager consumerOffsetManager() {
        ConsumerOffsetManager offsets = mock(ConsumerOffsetManager.class);
        answer(call -> {
            QueryConsumerOffsetRequestHeader header = new QueryConsumerOffsetRequestHeader();
            header.setConsumerGroup(call.getArgument(0));
            header.setTopic(call.getArgument(1));
            header.setQueueId(call.getArgument(2));
            header.setSetZeroIfNotFound(false);
            try {
                return Admin.get().api().queryConsumerOffset(addr, header, Admin.TIMEOUT_MS);
            } catch (OffsetNotFoundException e) {
                return -1L;
            }
        }).when(offsets).queryOffset(Mockito.anyString(), Mockito.anyString(), Mockito.anyInt());
        answer(call -> {
            String group = call.getArgument(0);
            String topic = call.getArgument(1);
            ConsumeStats stats = Admin.get().api().getConsumeStats(addr, group, topic, Admin.TIMEOUT_MS);
            return stats.getOffsetTable().get(queue(topic, call.getArgument(2))).getPullOffset();
        }).when(offsets).queryPullOffset(Mockito.anyString(), Mockito.anyString(), Mockito.anyInt());
        return offsets;
    }

    private MessageQueue queue(String topic, int queueId) {
        return new MessageQueue(topic, name, queueId);
    }

    private static <T> T mock(Class<T> type) {
        return Mockito.mock(type, new Unsupported(type.getSimpleName()));
    }

    private static org.mockito.stubbing.Stubber answer(Answer<?> answer) {
        return Mockito.doAnswer(answer);
    }

    private interface Request<T> {
        T send() throws Exception;
    }

    private <T> T ask(Request<T> request) {
        try {
            return request.send();
        } catch (Exception e) {
            throw new IllegalStateException("broker " + name + " at " + addr + ": " + e.getMessage(), e);
        }
    }
}
