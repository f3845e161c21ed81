package hypergol.golden;

import com.alibaba.fastjson2.JSONWriter;
import java.io.ByteArrayInputStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.InflaterInputStream;
import org.apache.rocketmq.common.MQVersion;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.UtilAll;
import org.apache.rocketmq.remoting.protocol.RemotingSerializable;
import org.apache.rocketmq.remoting.protocol.body.RegisterBrokerBody;
import org.apache.rocketmq.remoting.protocol.route.TopicRouteData;

/** bodies.jsonl: what Java writes for each JSON body, with the object's fields as plain JSON beside it. */
final class Bodies {
    private static final String PROTOCOL = "org.apache.rocketmq.remoting.protocol.";
    private static final String[] CLASSES = {
        PROTOCOL + "DataVersion",
        PROTOCOL + "EpochEntry",
        PROTOCOL + "admin.ConsumeStats",
        PROTOCOL + "admin.OffsetWrapper",
        PROTOCOL + "admin.TopicOffset",
        PROTOCOL + "admin.TopicStatsTable",
        PROTOCOL + "body.AclInfo",
        PROTOCOL + "body.BatchAck",
        PROTOCOL + "body.BatchAckMessageRequestBody",
        PROTOCOL + "body.BrokerMemberGroup",
        PROTOCOL + "body.BrokerReplicasInfo",
        PROTOCOL + "body.BrokerStatsData",
        PROTOCOL + "body.CheckClientRequestBody",
        PROTOCOL + "body.ClusterInfo",
        PROTOCOL + "body.Connection",
        PROTOCOL + "body.ConsumeMessageDirectlyResult",
        PROTOCOL + "body.ConsumeStatsList",
        PROTOCOL + "body.ConsumerConnection",
        PROTOCOL + "body.ConsumerOffsetSerializeWrapper",
        PROTOCOL + "body.ConsumerRunningInfo",
        PROTOCOL + "body.CreateTopicListRequestBody",
        PROTOCOL + "body.ElectMasterResponseBody",
        PROTOCOL + "body.EpochEntryCache",
        PROTOCOL + "body.GetBrokerLiteInfoResponseBody",
        PROTOCOL + "body.GetBrokerMemberGroupResponseBody",
        PROTOCOL + "body.GetConsumerStatusBody",
        PROTOCOL + "body.GetLiteClientInfoResponseBody",
        PROTOCOL + "body.GetLiteGroupInfoResponseBody",
        PROTOCOL + "body.GetLiteTopicInfoResponseBody",
        PROTOCOL + "body.GetParentTopicInfoResponseBody",
        PROTOCOL + "body.GroupList",
        PROTOCOL + "body.HARuntimeInfo",
        PROTOCOL + "body.KVTable",
        PROTOCOL + "body.LiteSubscriptionCtlRequestBody",
        PROTOCOL + "body.LockBatchRequestBody",
        PROTOCOL + "body.LockBatchResponseBody",
        PROTOCOL + "body.MessageRequestModeSerializeWrapper",
        PROTOCOL + "body.ProducerConnection",
        PROTOCOL + "body.ProducerTableInfo",
        PROTOCOL + "body.QueryAssignmentRequestBody",
        PROTOCOL + "body.QueryAssignmentResponseBody",
        PROTOCOL + "body.QueryConsumeQueueResponseBody",
        PROTOCOL + "body.QueryConsumeTimeSpanBody",
        PROTOCOL + "body.QueryCorrectionOffsetBody",
        PROTOCOL + "body.QuerySubscriptionResponseBody",
        PROTOCOL + "body.RegisterBrokerBody",
        PROTOCOL + "body.ResetOffsetBody",
        PROTOCOL + "body.ResetOffsetBodyForC",
        PROTOCOL + "body.SetMessageRequestModeRequestBody",
        PROTOCOL + "body.SubscriptionGroupList",
        PROTOCOL + "body.SubscriptionGroupWrapper",
        PROTOCOL + "body.SyncStateSet",
        PROTOCOL + "body.TopicConfigAndMappingSerializeWrapper",
        PROTOCOL + "body.TopicConfigSerializeWrapper",
        PROTOCOL + "body.TopicList",
        PROTOCOL + "body.TopicQueueMappingSerializeWrapper",
        PROTOCOL + "body.UnlockBatchRequestBody",
        PROTOCOL + "body.UserInfo",
        PROTOCOL + "header.GetConsumerListByGroupResponseBody",
        PROTOCOL + "heartbeat.HeartbeatData",
        PROTOCOL + "heartbeat.SubscriptionData",
        PROTOCOL + "route.TopicRouteData",
        PROTOCOL + "statictopic.TopicConfigAndQueueMapping",
        PROTOCOL + "statictopic.TopicQueueMappingDetail",
        PROTOCOL + "statictopic.TopicQueueMappingInfo",
        PROTOCOL + "subscription.GroupForbidden",
        PROTOCOL + "subscription.SubscriptionGroupConfig",
        PROTOCOL + "topic.OffsetMovedEvent",
        "org.apache.rocketmq.broker.loadbalance.MessageRequestModeManager",
        "org.apache.rocketmq.broker.offset.ConsumerOffsetManager",
        "org.apache.rocketmq.broker.schedule.DelayOffsetSerializeWrapper",
        "org.apache.rocketmq.broker.transaction.TransactionMetrics$TransactionMetricsSerializeWrapper",
        "org.apache.rocketmq.common.CheckRocksdbCqWriteResult",
        "org.apache.rocketmq.common.TopicConfig",
        "org.apache.rocketmq.common.message.MessageQueue",
        "org.apache.rocketmq.namesrv.kvconfig.KVConfigSerializeWrapper",
        "org.apache.rocketmq.store.pop.AckMsg",
        "org.apache.rocketmq.store.pop.BatchAckMsg",
        "org.apache.rocketmq.store.pop.PopCheckPoint",
        "org.apache.rocketmq.store.timer.TimerMetrics$TimerMetricsSerializeWrapper",
    };

    private Bodies() {
    }

    static void write(PrintWriter out) throws Exception {
        for (String name : CLASSES) {
            Class<?> type;
            try {
                type = Class.forName(name);
                Sample.create(type);
            } catch (ReflectiveOperationException e) {
                System.err.println("left out: " + e);
                continue;
            }
            List<String> written = new ArrayList<>();
            for (Sample.Fill fill : Sample.Fill.values()) {
                Object body = Sample.of(type, fill);
                String text;
                try {
                    text = new String(RemotingSerializable.encode(body), StandardCharsets.UTF_8);
                } catch (RuntimeException e) {
                    System.err.println(name + " " + fill + ": " + e);
                    continue;
                }
                if (written.contains(text)) {
                    continue;
                }
                written.add(text);
                line(out, type, fill.name().toLowerCase(), "json", text, body);
                if (body instanceof TopicRouteData) {
                    byte[] standard = ((TopicRouteData) body).encode(JSONWriter.Feature.BrowserCompatible,
                        JSONWriter.Feature.MapSortField);
                    line(out, type, fill.name().toLowerCase(), "standard-json", new String(standard, StandardCharsets.UTF_8), body);
                }
            }
        }
        for (Sample.Fill fill : new Sample.Fill[] {Sample.Fill.DEFAULT, Sample.Fill.EMPTY, Sample.Fill.ONE, Sample.Fill.TWO}) {
            register(out, fill);
        }
    }

    private static void line(PrintWriter out, Class<?> type, String variant, String form, String text, Object body)
        throws ReflectiveOperationException {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("class", type.getName().substring(type.getName().lastIndexOf('.') + 1));
        line.put("variant", variant);
        line.put("form", form);
        line.put("text", text);
        line.put("read_back", readBack(type, text));
        line.put("fields", Sample.describe(body));
        out.println(Json.write(line));
    }

    /** What Java writes after reading its own text: `same` (but for the order in sets and maps), the other text, or `error`. */
    private static String readBack(Class<?> type, String text) throws ReflectiveOperationException {
        try {
            Object again = RemotingSerializable.decode(text.getBytes(StandardCharsets.UTF_8), type);
            if (again == null) {
                return "null";
            }
            Sample.freeze(again);
            String second = new String(RemotingSerializable.encode(again), StandardCharsets.UTF_8);
            return Arrays.equals(second.chars().sorted().toArray(), text.chars().sorted().toArray()) ? "same" : second;
        } catch (RuntimeException e) {
            return "error";
        }
    }

    private static void register(PrintWriter out, Sample.Fill fill) throws Exception {
        RegisterBrokerBody body = Sample.of(RegisterBrokerBody.class, fill);
        for (TopicConfig config : body.getTopicConfigSerializeWrapper().getTopicConfigTable().values()) {
            config.getAttributes().clear();
            config.getAttributes().put("message.type", "FIFO");
        }
        byte[] deflated = body.encode(true);
        RegisterBrokerBody again = RegisterBrokerBody.decode(deflated, true, MQVersion.Version.V5_5_0);
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("class", "RegisterBrokerBody");
        line.put("variant", fill.name().toLowerCase());
        line.put("form", "deflated");
        line.put("hex", Sample.hex(deflated));
        line.put("crc32", UtilAll.crc32(deflated));
        line.put("inflated", Sample.hex(new InflaterInputStream(new ByteArrayInputStream(deflated)).readAllBytes()));
        Sample.freeze(again);
        line.put("read_back", again.toJson());
        line.put("fields", Sample.describe(body));
        out.println(Json.write(line));
    }
}
