package hypergol.golden;

import java.io.PrintWriter;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.CommandCustomHeader;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RemotingSerializable;
import org.apache.rocketmq.remoting.protocol.admin.TopicStatsTable;
import org.apache.rocketmq.remoting.protocol.body.BatchAckMessageRequestBody;
import org.apache.rocketmq.remoting.protocol.body.ClusterInfo;
import org.apache.rocketmq.remoting.protocol.body.ConsumerOffsetSerializeWrapper;
import org.apache.rocketmq.remoting.protocol.body.GetConsumerStatusBody;
import org.apache.rocketmq.remoting.protocol.body.KVTable;
import org.apache.rocketmq.remoting.protocol.body.LockBatchRequestBody;
import org.apache.rocketmq.remoting.protocol.body.ResetOffsetBody;
import org.apache.rocketmq.remoting.protocol.heartbeat.HeartbeatData;
import org.apache.rocketmq.remoting.protocol.route.TopicRouteData;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;

/** tolerance.jsonl: input that is not what Java writes, and what Java makes of it (its own encoding of it, or an error). */
final class Tolerance {
    private static PrintWriter out;

    private Tolerance() {
    }

    static void write(PrintWriter to) throws Exception {
        out = to;
        bodies();
        jsonHeaders();
        binaryHeaders();
        headerFields();
    }

    private static void body(String what, Class<?> type, String text) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("kind", "body");
        line.put("what", what);
        line.put("class", type.getSimpleName());
        line.put("text", text);
        try {
            Object body = RemotingSerializable.decode(text.getBytes(StandardCharsets.UTF_8), type);
            Sample.freeze(body);
            line.put("reads_as", body == null ? null : new String(RemotingSerializable.encode(body), StandardCharsets.UTF_8));
        } catch (RuntimeException | ReflectiveOperationException e) {
            line.put("error", e.getClass().getSimpleName());
        }
        out.println(Json.write(line));
    }

    private static void bodies() {
        String config = "{\"groupName\":\"G\",\"retryQueueNums\":2,\"consumeEnable\":false,\"brokerId\":1}";
        body("as written", SubscriptionGroupConfig.class, config);
        body("spaces and line ends", SubscriptionGroupConfig.class, " {\r\n\t\"groupName\" : \"G\" ,\n\"retryQueueNums\" : 2 } \n");
        body("single quotes", SubscriptionGroupConfig.class, "{'groupName':'G','retryQueueNums':2}");
        body("unquoted keys", SubscriptionGroupConfig.class, "{groupName:\"G\",retryQueueNums:2}");
        body("numbers as text", SubscriptionGroupConfig.class, "{\"groupName\":\"G\",\"retryQueueNums\":\"2\",\"brokerId\":\"7\"}");
        body("booleans as text", SubscriptionGroupConfig.class, "{\"groupName\":\"G\",\"consumeEnable\":\"false\"}");
        body("booleans as numbers", SubscriptionGroupConfig.class, "{\"groupName\":\"G\",\"consumeEnable\":0,\"consumeMessageOrderly\":1}");
        body("text as number", SubscriptionGroupConfig.class, "{\"groupName\":12}");
        body("text as boolean", SubscriptionGroupConfig.class, "{\"groupName\":true}");
        body("null fields", SubscriptionGroupConfig.class, "{\"groupName\":null,\"retryQueueNums\":null,\"consumeEnable\":null}");
        body("number with fraction for int", SubscriptionGroupConfig.class, "{\"groupName\":\"G\",\"retryQueueNums\":2.0}");
        body("number beyond int", SubscriptionGroupConfig.class, "{\"groupName\":\"G\",\"retryQueueNums\":99999999999}");
        body("text that is no number", SubscriptionGroupConfig.class, "{\"groupName\":\"G\",\"retryQueueNums\":\"x\"}");
        body("empty text for number", SubscriptionGroupConfig.class, "{\"groupName\":\"G\",\"retryQueueNums\":\"\"}");
        body("unknown fields", SubscriptionGroupConfig.class, "{\"groupName\":\"G\",\"unknown\":{\"a\":[1,{\"b\":null}]},\"other\":\"x\"}");
        body("trailing comma", SubscriptionGroupConfig.class, "{\"groupName\":\"G\",\"retryQueueNums\":2,}");
        body("comments", SubscriptionGroupConfig.class, "{/* a */\"groupName\":\"G\",// b\n\"retryQueueNums\":2}");
        body("field twice", SubscriptionGroupConfig.class, "{\"groupName\":\"G\",\"groupName\":\"H\"}");
        body("other case of a name", SubscriptionGroupConfig.class, "{\"groupname\":\"G\",\"RetryQueueNums\":2}");
        body("snake case of a name", SubscriptionGroupConfig.class, "{\"group_name\":\"G\",\"retry_queue_nums\":2}");
        body("escapes", SubscriptionGroupConfig.class, "{\"groupName\":\"\\u4e2d\\n\\/\\\\\\x41\"}");
        body("empty object", SubscriptionGroupConfig.class, "{}");
        body("empty text", SubscriptionGroupConfig.class, "");
        body("null", SubscriptionGroupConfig.class, "null");
        body("array for object", SubscriptionGroupConfig.class, "[]");
        body("cut", SubscriptionGroupConfig.class, "{\"groupName\":\"G\",\"retry");
        body("text after the end", SubscriptionGroupConfig.class, "{\"groupName\":\"G\"} x");
        body("no JSON", SubscriptionGroupConfig.class, "hello");

        body("unquoted int keys", ConsumerOffsetSerializeWrapper.class, "{\"offsetTable\":{\"T@G\":{0:5,1:6}}}");
        body("quoted int keys", ConsumerOffsetSerializeWrapper.class, "{\"offsetTable\":{\"T@G\":{\"0\":5,\"1\":6}}}");
        body("single-quoted int keys", ConsumerOffsetSerializeWrapper.class, "{\"offsetTable\":{\"T@G\":{'0':5}}}");
        body("spaces round int keys", ConsumerOffsetSerializeWrapper.class, "{\"offsetTable\":{\"T@G\":{ 0 : 5 , 1 : 6 }}}");
        body("values as text", ConsumerOffsetSerializeWrapper.class, "{\"offsetTable\":{\"T@G\":{0:\"5\"}}}");
        body("derived groupTopicMap", ConsumerOffsetSerializeWrapper.class,
            "{\"dataVersion\":{\"counter\":3,\"stateVersion\":0,\"timestamp\":1700000000000},\"groupTopicMap\":{\"G\":[\"T\"]},\"offsetTable\":{\"T@G\":{0:5}},\"pullOffsetTable\":{}}");
        body("key that is no int", ConsumerOffsetSerializeWrapper.class, "{\"offsetTable\":{\"T@G\":{\"x\":5}}}");

        body("object keys", ResetOffsetBody.class, "{\"offsetTable\":{{\"brokerName\":\"b\",\"queueId\":0,\"topic\":\"T\"}:9}}");
        body("object keys, other field order and spaces", ResetOffsetBody.class,
            "{\"offsetTable\": { {\"topic\" : \"T\", \"queueId\": 0, \"brokerName\":\"b\" } : 9 , {\"brokerName\":\"b\",\"queueId\":1,\"topic\":\"T\"}:10 } }");
        body("object keys as text", ResetOffsetBody.class, "{\"offsetTable\":{\"{\\\"brokerName\\\":\\\"b\\\",\\\"queueId\\\":0,\\\"topic\\\":\\\"T\\\"}\":9}}");
        body("no object keys", ResetOffsetBody.class, "{\"offsetTable\":{}}");
        body("object keys", TopicStatsTable.class,
            "{\"offsetTable\":{{\"brokerName\":\"b\",\"queueId\":0,\"topic\":\"T\"}:{\"lastUpdateTimestamp\":1,\"maxOffset\":5,\"minOffset\":0}}}");

        body("enums in other case", HeartbeatData.class,
            "{\"clientID\":\"c\",\"consumerDataSet\":[{\"groupName\":\"G\",\"consumeType\":\"consume_passively\",\"messageModel\":\"Clustering\",\"consumeFromWhere\":\"CONSUME_FROM_LAST_OFFSET\",\"subscriptionDataSet\":[],\"unitMode\":false}]}");
        body("enums by ordinal", HeartbeatData.class,
            "{\"clientID\":\"c\",\"consumerDataSet\":[{\"groupName\":\"G\",\"consumeType\":1,\"messageModel\":1,\"consumeFromWhere\":0}]}");
        body("unknown enum", HeartbeatData.class,
            "{\"clientID\":\"c\",\"consumerDataSet\":[{\"groupName\":\"G\",\"consumeType\":\"NOPE\",\"messageModel\":\"\",\"consumeFromWhere\":null}]}");
        body("Go client", HeartbeatData.class,
            "{\"clientID\":\"c\",\"producerDataSet\":[{\"groupName\":\"P\"}],\"consumerDataSet\":[{\"groupName\":\"G\",\"consumeType\":\"CONSUME_PASSIVELY\",\"messageModel\":\"Clustering\",\"consumeFromWhere\":\"CONSUME_FROM_LAST_OFFSET\",\"subscriptionDataSet\":[{\"classFilterMode\":false,\"topic\":\"T\",\"subString\":\"A\",\"tagsSet\":[\"A\"],\"codeSet\":[\"65\"],\"subVersion\":1700000000000000000,\"expressionType\":\"TAG\"}],\"unitMode\":false}]}");
        body("set with the same element twice", HeartbeatData.class,
            "{\"clientID\":\"c\",\"producerDataSet\":[{\"groupName\":\"P\"},{\"groupName\":\"P\"}]}");
        body("single object for a set", HeartbeatData.class, "{\"clientID\":\"c\",\"producerDataSet\":{\"groupName\":\"P\"}}");
        body("reference of fastjson 1", GetConsumerStatusBody.class,
            "{\"consumerTable\":{\"c\":{{\"brokerName\":\"b\",\"queueId\":0,\"topic\":\"T\"}:1}},\"messageQueueTable\":{\"$ref\":\"$.consumerTable.c\"}}");
        body("element twice in a set", LockBatchRequestBody.class,
            "{\"clientId\":\"c\",\"consumerGroup\":\"G\",\"mqSet\":[{\"brokerName\":\"b\",\"queueId\":0,\"topic\":\"T\"},{\"brokerName\":\"b\",\"queueId\":0,\"topic\":\"T\"}]}");

        body("quoted broker ids", TopicRouteData.class,
            "{\"brokerDatas\":[{\"brokerAddrs\":{\"0\":\"1.1.1.1:10911\"},\"brokerName\":\"b\",\"cluster\":\"C\"}],\"queueDatas\":[]}");
        body("unquoted broker ids", TopicRouteData.class,
            "{\"brokerDatas\":[{\"brokerAddrs\":{0:\"1.1.1.1:10911\"},\"brokerName\":\"b\",\"cluster\":\"C\"}],\"queueDatas\":[]}");
        body("unquoted broker ids", ClusterInfo.class,
            "{\"brokerAddrTable\":{\"b\":{\"brokerAddrs\":{0:\"1.1.1.1:10911\"},\"brokerName\":\"b\",\"cluster\":\"C\"}},\"clusterAddrTable\":{\"C\":[\"b\"]}}");
        body("values that are no text", KVTable.class, "{\"table\":{\"a\":1,\"b\":true,\"c\":null,\"d\":{\"e\":1}}}");
        body("long names", BatchAckMessageRequestBody.class,
            "{\"brokerName\":\"b\",\"acks\":[{\"bitSet\":\"AQI=\",\"consumerGroup\":\"G\",\"invisibleTime\":60000,\"popTime\":1700000000000,\"queueId\":1,\"retry\":\"0\",\"reviveQueueId\":2,\"startOffset\":10,\"topic\":\"T\"}]}");
        body("numbers as text", MessageQueue.class, "{\"brokerName\":\"b\",\"queueId\":\"3\",\"topic\":\"T\"}");
    }

    private static void frame(String what, byte[] header, int serialize, byte[] body) {
        ByteBuffer frame = ByteBuffer.allocate(8 + header.length + body.length);
        frame.putInt(4 + header.length + body.length);
        frame.putInt(serialize << 24 | header.length);
        frame.put(header).put(body);
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("kind", "frame");
        line.put("what", what);
        line.put("serialize", serialize);
        if (serialize == 0) {
            line.put("header", new String(header, StandardCharsets.UTF_8));
        }
        line.put("frame", Sample.hex(frame.array()));
        try {
            frame.position(4);
            line.put("reads_as", Frames.describe(RemotingCommand.decode(frame)));
        } catch (Exception e) {
            line.put("error", e.getClass().getSimpleName());
        }
        out.println(Json.write(line));
    }

    private static void json(String what, String header) {
        frame(what, header.getBytes(StandardCharsets.UTF_8), 0, new byte[0]);
    }

    private static void jsonHeaders() {
        json("as written", "{\"code\":105,\"extFields\":{\"topic\":\"T\"},\"flag\":0,\"language\":\"JAVA\",\"opaque\":7,\"serializeTypeCurrentRPC\":\"JSON\",\"version\":513}");
        json("Go client", "{\"code\":105,\"language\":\"GO\",\"version\":317,\"opaque\":7,\"flag\":0,\"remark\":\"\",\"extFields\":{\"topic\":\"T\"}}");
        json("C++ client", "{\"code\":105,\"language\":\"CPP\",\"version\":275,\"opaque\":7,\"flag\":0,\"extFields\":{\"topic\":\"T\"},\"serializeTypeCurrentRPC\":\"JSON\"}");
        json("numbers as text", "{\"code\":\"105\",\"opaque\":\"7\",\"flag\":\"0\",\"version\":\"513\"}");
        json("extFields of other types", "{\"code\":105,\"opaque\":7,\"extFields\":{\"a\":1,\"b\":true,\"c\":null,\"d\":1.5,\"e\":-9223372036854775808,\"f\":{\"g\":1},\"h\":[1,\"x\"]}}");
        json("extFields null", "{\"code\":105,\"opaque\":7,\"extFields\":null,\"remark\":null}");
        json("language by number", "{\"code\":105,\"opaque\":7,\"language\":9}");
        json("language by text number", "{\"code\":105,\"opaque\":7,\"language\":\"9\"}");
        json("language in lower case", "{\"code\":105,\"opaque\":7,\"language\":\"go\"}");
        json("unknown language", "{\"code\":105,\"opaque\":7,\"language\":\"KLINGON\"}");
        json("unknown keys", "{\"code\":105,\"opaque\":7,\"suspended\":true,\"onewayRPC\":false,\"responseType\":false,\"type\":\"REQUEST_COMMAND\",\"x\":{\"y\":[]}}");
        json("no keys", "{}");
        json("no opaque", "{\"code\":105,\"flag\":3}");
        json("unquoted keys", "{code:105,opaque:7}");
        json("single quotes", "{'code':105,'opaque':7,'extFields':{'topic':'T'}}");
        json("spaces", " { \"code\" : 105 ,\n\"opaque\" : 7 } ");
        json("trailing comma", "{\"code\":105,\"opaque\":7,}");
        json("text that is no number", "{\"code\":\"x\",\"opaque\":7}");
        json("number beyond int", "{\"code\":105,\"opaque\":99999999999}");
        json("number with fraction", "{\"code\":105.0,\"opaque\":7}");
        json("cut", "{\"code\":105,\"opaq");
        json("array", "[1]");
        json("null", "null");
        json("empty", "");
        json("escapes", "{\"code\":105,\"opaque\":7,\"remark\":\"\\u4e2d\\ud83d\\ude00\\n\",\"extFields\":{\"k\\u0065y\":\"\\t\"}}");
        frame("body", "{\"code\":10,\"opaque\":7}".getBytes(StandardCharsets.UTF_8), 0, new byte[] {1, 2, 3});
        frame("not UTF-8", new byte[] {'{', '"', 'r', 'e', 'm', 'a', 'r', 'k', '"', ':', '"', (byte) 0xff, (byte) 0xfe, '"', '}'}, 0, new byte[0]);
        frame("unknown serialize type", "{\"code\":10,\"opaque\":7}".getBytes(StandardCharsets.UTF_8), 2, new byte[0]);
    }

    private static byte[] binary(int code, int language, int version, int opaque, int flag, byte[] remark, byte[] fields) {
        ByteBuffer b = ByteBuffer.allocate(2 + 1 + 2 + 4 + 4 + 4 + remark.length + 4 + fields.length);
        b.putShort((short) code).put((byte) language).putShort((short) version).putInt(opaque).putInt(flag);
        b.putInt(remark.length).put(remark).putInt(fields.length).put(fields);
        return b.array();
    }

    private static byte[] pairs(String... keysAndValues) {
        ByteBuffer b = ByteBuffer.allocate(1024);
        for (int i = 0; i < keysAndValues.length; i += 2) {
            byte[] key = keysAndValues[i].getBytes(StandardCharsets.UTF_8);
            byte[] value = keysAndValues[i + 1].getBytes(StandardCharsets.UTF_8);
            b.putShort((short) key.length).put(key).putInt(value.length).put(value);
        }
        byte[] bytes = new byte[b.position()];
        b.flip();
        b.get(bytes);
        return bytes;
    }

    private static void binaryHeaders() {
        byte[] none = new byte[0];
        frame("plain", binary(105, 0, 513, 7, 0, none, pairs("topic", "T")), 1, none);
        frame("no fields", binary(105, 12, 513, 7, 0, none, none), 1, none);
        frame("unknown language", binary(105, 77, 513, 7, 0, none, none), 1, none);
        frame("key twice", binary(105, 0, 513, 7, 0, none, pairs("a", "1", "a", "2")), 1, none);
        frame("empty value", binary(105, 0, 513, 7, 0, none, pairs("a", "", "b", "2")), 1, none);
        frame("empty key", binary(105, 0, 513, 7, 0, none, pairs("", "1", "b", "2")), 1, none);
        frame("negative code", binary(-5, 0, 513, 7, 0, none, none), 1, none);
        frame("code that does not fit", binary(200050, 0, 513, 7, 0, none, none), 1, none);
        frame("remark and body", binary(0, 0, 513, 7, 1, "\u4e2d".getBytes(StandardCharsets.UTF_8), none), 1, new byte[] {9});
        byte[] cut = binary(105, 0, 513, 7, 0, none, pairs("topic", "T"));
        frame("cut in the fields", java.util.Arrays.copyOf(cut, cut.length - 1), 1, none);
        frame("cut in the fixed part", java.util.Arrays.copyOf(cut, 9), 1, none);
        byte[] longer = java.util.Arrays.copyOf(cut, cut.length + 3);
        frame("longer than its fields", longer, 1, none);
        byte[] lying = cut.clone();
        ByteBuffer.wrap(lying).putInt(13, Integer.MAX_VALUE);
        frame("remark length beyond the header", lying, 1, none);
        ByteBuffer.wrap(lying).putInt(13, -1);
        frame("remark length negative", lying, 1, none);
    }

    private static void header(String what, String className, String... fields) throws Exception {
        Class<? extends CommandCustomHeader> type = Frames.find(className);
        HashMap<String, String> ext = new HashMap<>();
        for (int i = 0; i < fields.length; i += 2) {
            ext.put(fields[i], fields[i + 1]);
        }
        RemotingCommand command = RemotingCommand.createRequestCommand(0, null);
        command.setExtFields(fields.length == 0 ? null : ext);
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("kind", "header");
        line.put("what", what);
        line.put("class", className);
        line.put("ext_fields", fields.length == 0 ? null : new TreeMap<>(ext));
        try {
            CommandCustomHeader header = command.decodeCommandCustomHeader(type);
            Map<String, Object> read = new LinkedHashMap<>();
            for (Field f : Sample.fields(type)) {
                Object value = f.get(header);
                read.put(f.getName(), value instanceof Enum ? value.toString() : value);
            }
            line.put("reads_as", read);
        } catch (Exception e) {
            line.put("error", e.getClass().getSimpleName() + (e.getMessage() == null ? "" : ": " + e.getMessage()));
        }
        out.println(Json.write(line));
    }

    private static void headerFields() throws Exception {
        header("nothing", "GetMaxOffsetRequestHeader");
        header("all", "GetMaxOffsetRequestHeader", "topic", "T", "queueId", "3", "committed", "false");
        header("boolean in capitals", "GetMaxOffsetRequestHeader", "topic", "T", "queueId", "3", "committed", "FALSE");
        header("boolean that is none", "GetMaxOffsetRequestHeader", "topic", "T", "queueId", "3", "committed", "1");
        header("required missing", "GetMaxOffsetRequestHeader", "topic", "T");
        header("number that is none", "GetMaxOffsetRequestHeader", "topic", "T", "queueId", "x");
        header("number with plus", "GetMaxOffsetRequestHeader", "topic", "T", "queueId", "+3");
        header("number with space", "GetMaxOffsetRequestHeader", "topic", "T", "queueId", " 3");
        header("number beyond int", "GetMaxOffsetRequestHeader", "topic", "T", "queueId", "2147483648");
        header("empty number", "GetMaxOffsetRequestHeader", "topic", "T", "queueId", "");
        header("inherited fields", "GetMaxOffsetRequestHeader", "topic", "T", "queueId", "3", "lo", "false", "ns", "n", "nsd", "true", "bname", "b", "oway", "true");
        header("unknown field", "GetMaxOffsetRequestHeader", "topic", "T", "queueId", "3", "nope", "1");
        header("lower", "SearchOffsetRequestHeader", "topic", "T", "queueId", "3", "timestamp", "1", "boundaryType", "lower");
        header("upper", "SearchOffsetRequestHeader", "topic", "T", "queueId", "3", "timestamp", "1", "boundaryType", "UPPER");
        header("neither", "SearchOffsetRequestHeader", "topic", "T", "queueId", "3", "timestamp", "1", "boundaryType", "middle");
        header("fast header, all required", "PullMessageRequestHeader", "consumerGroup", "G", "topic", "T", "queueId", "0", "queueOffset", "1",
            "maxMsgNums", "32", "sysFlag", "6", "commitOffset", "0", "suspendTimeoutMillis", "15000", "subVersion", "1");
        header("fast header, one missing", "PullMessageRequestHeader", "consumerGroup", "G", "topic", "T", "queueId", "0", "queueOffset", "1",
            "maxMsgNums", "32", "sysFlag", "6", "commitOffset", "0", "suspendTimeoutMillis", "15000");
        header("fast header, nothing", "PullMessageRequestHeader");
        header("fast header, one missing", "SendMessageRequestHeaderV2", "a", "P", "b", "T", "c", "TBW102", "d", "4", "e", "0", "f", "0", "g", "1");
        header("fast header, number that is none", "SendMessageRequestHeaderV2", "a", "P", "b", "T", "c", "TBW102", "d", "4", "e", "x", "f", "0", "g", "1", "h", "0");
        header("ordinary header, required missing", "SendMessageRequestHeader", "producerGroup", "P", "topic", "T");
    }
}
