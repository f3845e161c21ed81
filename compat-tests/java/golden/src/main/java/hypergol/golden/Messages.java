package hypergol.golden;

import java.io.PrintWriter;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.common.TopicFilterType;
import org.apache.rocketmq.common.UtilAll;
import org.apache.rocketmq.common.attribute.AttributeParser;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageClientIDSetter;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageExtBrokerInner;
import org.apache.rocketmq.common.message.MessageId;
import org.apache.rocketmq.common.message.MessageVersion;
import org.apache.rocketmq.common.producer.RecallMessageHandle;
import org.apache.rocketmq.common.sysflag.MessageSysFlag;
import org.apache.rocketmq.common.topic.TopicValidator;
import org.apache.rocketmq.remoting.protocol.filter.FilterAPI;
import org.apache.rocketmq.remoting.protocol.header.ExtraInfoUtil;
import org.apache.rocketmq.store.MessageExtEncoder;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.store.index.IndexFile;

/** messages.jsonl: records, batches, properties, ids, hashes and text forms that clients and servers build themselves. */
final class Messages {
    private Messages() {
    }

    static void write(PrintWriter out) throws Exception {
        records(out);
        batches(out);
        properties(out);
        ids(out);
        hashes(out);
        names(out);
        pop(out);
    }

    private static Map<String, Object> line(String kind) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("kind", kind);
        return line;
    }

    // ---- commit-log records -------------------------------------------------------------------------------------

    private static void records(PrintWriter out) throws Exception {
        String longTopic = "L".repeat(200);
        record(out, "plain", message("TopicTest", "hello0"));
        MessageExtBrokerInner empty = message("T", "");
        MessageAccessor.setProperties(empty, new LinkedHashMap<>());
        record(out, "empty body and no properties", empty);
        MessageExtBrokerInner text = message("TopicTest", Sample.AWKWARD);
        text.putUserProperty("a", Sample.AWKWARD.replace("\u0001", ""));
        record(out, "text beyond ASCII", text);
        for (int v6 = 1; v6 <= 3; v6++) {
            MessageExtBrokerInner m = message("TopicTest", "ipv6 " + v6);
            if ((v6 & 1) != 0) {
                m.setBornHost(address("2001:db8::1", 50000));
                m.setBornHostV6Flag();
            }
            if ((v6 & 2) != 0) {
                m.setStoreHost(address("fe80::aa:bb", 10911));
                m.setStoreHostAddressV6Flag();
            }
            record(out, "ipv6 born " + ((v6 & 1) != 0) + " store " + ((v6 & 2) != 0), m);
        }
        MessageExtBrokerInner v2 = message(longTopic, "version 2");
        v2.setVersion(MessageVersion.MESSAGE_VERSION_V2);
        record(out, "version 2", v2);
        MessageExtBrokerInner flags = message("TopicTest", "flags");
        flags.setFlag(-7);
        flags.setQueueId(15);
        flags.setReconsumeTimes(3);
        flags.setPreparedTransactionOffset(0x1122334455667788L);
        flags.setSysFlag(flags.getSysFlag() | MessageSysFlag.TRANSACTION_COMMIT_TYPE | MessageSysFlag.MULTI_TAGS_FLAG);
        record(out, "flags", flags);
        MessageStoreConfig crc = new MessageStoreConfig();
        crc.setEnabledAppendPropCRC(true);
        record(out, "room for the property CRC", message("TopicTest", "crc"), crc);
    }

    private static InetSocketAddress address(String ip, int port) throws Exception {
        return new InetSocketAddress(InetAddress.getByAddress(InetAddress.getByName(ip).getAddress()), port);
    }

    private static MessageExtBrokerInner message(String topic, String body) throws Exception {
        MessageExtBrokerInner m = new MessageExtBrokerInner();
        m.setTopic(topic);
        m.setBody(body.getBytes(StandardCharsets.UTF_8));
        m.setQueueId(3);
        m.setBornTimestamp(Sample.TIME_MS);
        m.setStoreTimestamp(Sample.TIME_MS + 5);
        m.setBornHost(address("192.168.1.77", 50000));
        m.setStoreHost(address("10.0.0.1", 10911));
        Map<String, String> properties = new LinkedHashMap<>();
        properties.put("KEYS", "k1 k2");
        properties.put("TAGS", "A");
        properties.put("WAIT", "true");
        MessageAccessor.setProperties(m, properties);
        return m;
    }

    private static void record(PrintWriter out, String what, MessageExtBrokerInner m) throws Exception {
        record(out, what, m, new MessageStoreConfig());
    }

    private static void record(PrintWriter out, String what, MessageExtBrokerInner m, MessageStoreConfig config) throws Exception {
        m.setBodyCRC(UtilAll.crc32(m.getBody()));
        m.setPropertiesString(MessageDecoder.messageProperties2String(m.getProperties()));
        m.setQueueOffset(42);
        m.setCommitLogOffset(0x123456789L);
        MessageExtEncoder encoder = new MessageExtEncoder(config);
        if (encoder.encode(m) != null) {
            throw new IllegalStateException(what);
        }
        ByteBuffer record = encoder.getEncoderBuffer();
        int size = record.getInt(0);
        // The store writes these two inside its lock.
        record.putLong(20, m.getQueueOffset());
        record.putLong(28, m.getCommitLogOffset());
        byte[] bytes = new byte[size];
        for (int i = 0; i < size; i++) {
            bytes[i] = record.get(i);
        }
        Map<String, Object> line = line("record");
        line.put("what", what);
        line.put("hex", Sample.hex(bytes));
        line.put("version", m.getVersion().name());
        line.put("topic", m.getTopic());
        line.put("queue_id", m.getQueueId());
        line.put("flag", m.getFlag());
        line.put("sys_flag", m.getSysFlag());
        line.put("queue_offset", m.getQueueOffset());
        line.put("physical_offset", m.getCommitLogOffset());
        line.put("born_timestamp", m.getBornTimestamp());
        line.put("born_host", host(m.getBornHost()));
        line.put("store_timestamp", m.getStoreTimestamp());
        line.put("store_host", host(m.getStoreHost()));
        line.put("reconsume_times", m.getReconsumeTimes());
        line.put("prepared_transaction_offset", m.getPreparedTransactionOffset());
        line.put("body", Sample.hex(m.getBody()));
        line.put("body_crc", m.getBodyCRC());
        line.put("properties_string", m.getPropertiesString());
        line.put("properties", new TreeMap<>(m.getProperties()));
        MessageExt back = MessageDecoder.decode(ByteBuffer.wrap(bytes));
        line.put("msg_id", back == null ? null : back.getMsgId());
        out.println(Json.write(line));
        if (m.getVersion() == MessageVersion.MESSAGE_VERSION_V1 && !config.isEnabledAppendPropCRC()) {
            byte[] client = MessageDecoder.encode(m, false);
            if (!Arrays.equals(client, bytes)) {
                throw new IllegalStateException("MessageDecoder.encode differs for " + what);
            }
        }
    }

    private static String host(java.net.SocketAddress address) {
        InetSocketAddress a = (InetSocketAddress) address;
        String ip = a.getAddress().getHostAddress();
        return a.getAddress() instanceof Inet6Address ? "[" + ip + "]:" + a.getPort() : ip + ":" + a.getPort();
    }

    // ---- batches --------------------------------------------------------------------------------------------------

    private static void batches(PrintWriter out) {
        List<Message> list = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            Message m = new Message("TopicTest", ("body " + i).getBytes(StandardCharsets.UTF_8));
            Map<String, String> properties = new LinkedHashMap<>();
            if (i != 1) {
                properties.put("UNIQ_KEY", "0A000001000100000000000000" + "00000" + i);
                properties.put("TAGS", "A");
            }
            if (i == 2) {
                properties.put("wide", "\u4e2d\u6587");
            }
            MessageAccessor.setProperties(m, properties);
            m.setFlag(i);
            list.add(m);
            Map<String, Object> line = line("batch");
            line.put("hex", Sample.hex(MessageDecoder.encodeMessages(list)));
            List<Object> messages = new ArrayList<>();
            for (Message each : list) {
                Map<String, Object> one = new LinkedHashMap<>();
                one.put("flag", each.getFlag());
                one.put("body", Sample.hex(each.getBody()));
                one.put("properties_string", MessageDecoder.messageProperties2String(each.getProperties()));
                messages.add(one);
            }
            line.put("messages", messages);
            out.println(Json.write(line));
        }
    }

    // ---- properties -------------------------------------------------------------------------------------------------

    private static void properties(PrintWriter out) {
        String[] inputs = {
            "", "a\u0001b\u0002", "a\u0001b", "a\u0001b\u0002c\u0001d\u0002", "a\u0001\u0002c\u0001d\u0002", "\u0001b\u0002c\u0001d\u0002",
            "a\u0002c\u0001d\u0002", "\u0002\u0002a\u0001b\u0002", "a\u0001b\u0001c\u0002", "a\u0001x\u0002a\u0001y\u0002",
            "a b\u0001 \u0002", "k\u0001\u4e2d\u6587\u0002", "ab\u0002c\u0001d\u0002", "abc\u0002c\u0001d\u0002", "a\u0001", "a",
        };
        for (String input : inputs) {
            Map<String, Object> line = line("properties");
            line.put("text", input);
            line.put("parsed", new TreeMap<>(MessageDecoder.string2messageProperties(input)));
            out.println(Json.write(line));
        }
        for (String input : new String[] {"+message.type=FIFO", "+a=b,-c", "+a=b,+d=e", "", "a=b", "+a", "-a=b", "+a=b,-a", "+a=b=c"}) {
            Map<String, Object> line = line("attributes");
            line.put("text", input);
            try {
                line.put("parsed", new TreeMap<>(AttributeParser.parseToMap(input)));
            } catch (RuntimeException e) {
                line.put("error", e.getMessage());
            }
            out.println(Json.write(line));
        }
    }

    // ---- ids --------------------------------------------------------------------------------------------------------

    private static void ids(PrintWriter out) throws Exception {
        Object[][] places = {
            {"127.0.0.1", 10911, 0L}, {"10.0.0.1", 10911, 0x123456789L}, {"255.254.253.252", 65535, Long.MAX_VALUE},
            {"2001:db8::1", 10911, 77L},
        };
        for (Object[] place : places) {
            InetSocketAddress address = address((String) place[0], (Integer) place[1]);
            String id = MessageDecoder.createMessageId(address, (Long) place[2]);
            MessageId back = MessageDecoder.decodeMessageId(id);
            if (back.getOffset() != (Long) place[2] || !back.getAddress().equals(address)) {
                throw new IllegalStateException(id);
            }
            Map<String, Object> line = line("message-id");
            line.put("host", host(address));
            line.put("offset", place[2]);
            line.put("id", id);
            out.println(Json.write(line));
        }
        String[] keys = {
            "7F000001C0DE5674340F0A1B2C3D0001",
            "0A0000012222133CC0DE1122334400FF",
            "20010DB800000000000000000000000100011122334455667788FFFF",
        };
        for (String key : keys) {
            Map<String, Object> line = line("unique-key");
            line.put("key", key);
            line.put("ip", MessageClientIDSetter.getIPStrFromID(key));
            line.put("pid", MessageClientIDSetter.getPidFromID(key));
            out.println(Json.write(line));
        }
        String made = MessageClientIDSetter.createUniqID();
        if (made.length() != 32 && made.length() != 56) {
            throw new IllegalStateException(made);
        }
        String handle = RecallMessageHandle.HandleV1.buildHandle("TopicTest", "broker-a", "1700000000001", keys[0]);
        Map<String, Object> line = line("recall-handle");
        line.put("topic", "TopicTest");
        line.put("broker_name", "broker-a");
        line.put("timestamp", "1700000000001");
        line.put("message_id", keys[0]);
        line.put("handle", handle);
        out.println(Json.write(line));
    }

    // ---- hashes -----------------------------------------------------------------------------------------------------

    private static void hashes(PrintWriter out) throws Exception {
        String[] texts = {"", "A", "TM2", "TagA", "a longer tag with spaces", "\u4e2d\u6587", "\ud83d\ude00", "polygenelubricants", "T1#k0", "T#T#A"};
        for (String text : texts) {
            Map<String, Object> line = line("hash");
            line.put("text", text);
            line.put("java_hash", text.hashCode());
            line.put("crc32", UtilAll.crc32(text.getBytes(StandardCharsets.UTF_8)));
            line.put("tags_code", MessageExtBrokerInner.tagsString2tagsCode(TopicFilterType.SINGLE_TAG, text));
            line.put("index_key_hash", indexKeyHash(text));
            out.println(Json.write(line));
        }
        for (String expression : new String[] {"*", "", "A", "A||B", " A || B ", "A||||B", "||", "A || \u4e2d\u6587"}) {
            Map<String, Object> line = line("subscription");
            line.put("expression", expression);
            try {
                org.apache.rocketmq.remoting.protocol.heartbeat.SubscriptionData data = FilterAPI.buildSubscriptionData("TopicTest", expression);
                line.put("sub_string", data.getSubString());
                line.put("tags", new java.util.TreeSet<>(data.getTagsSet()));
                line.put("codes", new java.util.TreeSet<>(data.getCodeSet()));
            } catch (Exception e) {
                line.put("error", e.getMessage());
            }
            out.println(Json.write(line));
        }
    }

    private static int indexKeyHash(String text) throws Exception {
        return Sample.create(IndexFile.class).indexKeyHashMethod(text);
    }

    // ---- names ------------------------------------------------------------------------------------------------------

    private static void names(PrintWriter out) {
        String[] names = {
            "TopicTest", "%RETRY%group", "a-b_c|d%e", "", " ", "a b", "a/b", "..", "a.b", "\u4e2d", "a\u0000b", "t".repeat(127),
            "t".repeat(128), "t".repeat(255), "t".repeat(256), "t".repeat(120), "t".repeat(121), "TBW102", "SCHEDULE_TOPIC_XXXX",
            "rmq_sys_any", "*", "$", "#",
        };
        for (String name : names) {
            Map<String, Object> line = line("name");
            line.put("name", name);
            line.put("topic_valid", TopicValidator.validateTopic(name).isValid());
            line.put("topic_remark", TopicValidator.validateTopic(name).getRemark());
            line.put("group_valid", TopicValidator.validateGroup(name).isValid());
            line.put("group_remark", TopicValidator.validateGroup(name).getRemark());
            line.put("system_topic", TopicValidator.isSystemTopic(name));
            line.put("send_forbidden", TopicValidator.isNotAllowedSendTopic(name));
            out.println(Json.write(line));
        }
    }

    // ---- pop handles ------------------------------------------------------------------------------------------------

    private static void pop(PrintWriter out) {
        for (String topic : new String[] {"TopicTest", "%RETRY%group_TopicTest", "%RETRY%group+TopicTest"}) {
            Map<String, Object> line = line("pop-handle");
            line.put("topic", topic);
            line.put("handle", ExtraInfoUtil.buildExtraInfo(10, Sample.TIME_MS, 60000, 3, topic, "broker-a", 2));
            line.put("handle_with_offset", ExtraInfoUtil.buildExtraInfo(10, Sample.TIME_MS, 60000, 3, topic, "broker-a", 2, 12));
            StringBuilder start = new StringBuilder();
            ExtraInfoUtil.buildStartOffsetInfo(start, topic, 2, 10);
            ExtraInfoUtil.buildStartOffsetInfo(start, topic, 3, 20);
            line.put("start_offset_info", start.toString());
            StringBuilder offsets = new StringBuilder();
            ExtraInfoUtil.buildMsgOffsetInfo(offsets, topic, 2, Arrays.asList(10L, 11L, 13L));
            ExtraInfoUtil.buildMsgOffsetInfo(offsets, topic, 3, Arrays.asList(20L));
            line.put("msg_offset_info", offsets.toString());
            StringBuilder counts = new StringBuilder();
            ExtraInfoUtil.buildQueueIdOrderCountInfo(counts, topic, 2, 1);
            ExtraInfoUtil.buildQueueOffsetOrderCountInfo(counts, topic, 2, 10, 4);
            line.put("order_count_info", counts.toString());
            out.println(Json.write(line));
        }
    }
}
