package hypergol.golden;

import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONObject;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.UtilAll;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.admin.TopicOffset;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** Writes clean.tar.gz, killed.tar.gz and their manifests: store folders of a Java broker with small files. */
public final class StoreFolders {
    /** No transaction is ever asked about: the half topic would grow while the manifest is made. */
    private static final Map<String, String> SETTINGS = new TreeMap<>(Map.of(
        "transactionCheckInterval", "86400000",
        "mappedFileSizeCommitLog", "65536",
        "mappedFileSizeConsumeQueue", "1000",
        "maxHashSlotNum", "100",
        "maxIndexNum", "200",
        "mappedFileSizeTimerLog", "102400",
        "autoCreateTopicEnable", "true",
        "defaultTopicQueueNums", "2",
        "fileReservedTime", "876000",
        "diskMaxUsedSpaceRatio", "95"));

    private StoreFolders() {
    }

    public static void main(String[] args) {
        try {
            writeAll(args);
            System.exit(0);
        } catch (Exception e) {
            // The clients' threads would keep the process alive.
            e.printStackTrace();
            System.exit(1);
        }
    }

    private static void writeAll(String[] args) throws Exception {
        Path out = Paths.get(args[0]).toAbsolutePath().normalize();
        for (String kind : new String[] {"clean", "killed"}) {
            Path work = Files.createTempDirectory("golden-" + kind);
            write(kind, out, work);
            System.err.println(kind + " written; work folder " + work);
        }
    }

    private static void write(String kind, Path out, Path work) throws Exception {
        Path store = work.resolve("store");
        Map<String, Object> manifest = new LinkedHashMap<>();
        manifest.put("written_by", "Apache RocketMQ 5.5.0");
        manifest.put("ended_by", kind.equals("clean") ? "SIGTERM" : "SIGKILL");
        manifest.put("settings", SETTINGS);
        Path copy = work.resolve("copy");
        try (JavaServers servers = new JavaServers(work, store, SETTINGS)) {
            fill(servers);
            if (kind.equals("clean")) {
                servers.stopBroker();
            } else {
                Thread late = sendUntilKilled(servers);
                Thread.sleep(300);
                servers.killBroker();
                late.join();
            }
            manifest.put("consumer_offsets", consumerOffsets(store));
            manifest.put("files", files(store));
            manifest.put("messages", messages(store));
            Tar.pack(store, StoreFolders::wanted, out.resolve(kind + ".tar.gz"));
            copy(store, copy);
        }
        // The offsets as Java finds them in a copy: a broker that ends still writes, and a killed one has to recover.
        try (JavaServers again = new JavaServers(work.resolve("again"), copy, SETTINGS)) {
            manifest.put("topics", topics(again));
        }
        check(manifest);
        Files.write(out.resolve(kind + ".json"), pretty(manifest).getBytes(StandardCharsets.UTF_8));
    }

    /** RocksDB folders are left out: the default configuration keeps nothing in them. */
    private static boolean wanted(String name) {
        return !name.startsWith("rocksdbstore") && !name.equals("lock");
    }

    // ---- what is sent -------------------------------------------------------------------------------------------

    private static void fill(JavaServers servers) throws Exception {
        DefaultMQAdminExt admin = servers.admin();
        TopicConfig orders = new TopicConfig("Orders", 4, 4, 6);
        orders.getAttributes().put("+message.type", "NORMAL");
        admin.createAndUpdateTopicConfig(servers.brokerAddress(), orders);
        admin.createAndUpdateTopicConfig(servers.brokerAddress(), new TopicConfig("Batches", 1, 1, 6));
        admin.createAndUpdateTopicConfig(servers.brokerAddress(), new TopicConfig("Retries", 1, 1, 6));
        TopicConfig transactions = new TopicConfig("Transactions", 1, 1, 6);
        admin.createAndUpdateTopicConfig(servers.brokerAddress(), transactions);

        DefaultMQProducer producer = new DefaultMQProducer("GoldenProducer");
        producer.setNamesrvAddr(servers.namesrvAddress());
        producer.setInstanceName("producer" + System.nanoTime());
        producer.start();
        for (int i = 0; i < 240; i++) {
            Message m = message("Orders", "order " + i + " " + "x".repeat(i * 7 % 900));
            if (i % 3 != 0) {
                m.setTags(i % 3 == 1 ? "TagA" : "TagB");
            }
            if (i % 2 == 0) {
                m.setKeys("order-" + i + " customer-" + i % 5);
            }
            m.putUserProperty("number", Integer.toString(i));
            int queue = i % 4;
            producer.send(m, (queues, any, arg) -> queues.get((Integer) arg), queue);
        }
        Message wide = message("Orders", "\u4e2d\u6587 \ud83d\ude00");
        wide.setTags("\u6807\u7b7e");
        wide.putUserProperty("wide", "\u4e2d\u6587");
        producer.send(wide);
        producer.send(message("Orders", "a body that is compressed ".repeat(2000)));
        producer.send(message("AutoCreated", "first message of a topic that nobody made"));
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            Message m = message("Batches", "batch " + i);
            m.setTags("B" + i % 2);
            m.setKeys("batch-" + i);
            batch.add(m);
        }
        producer.send(batch);

        Message soon = message("Orders", "delay level 1, delivered");
        soon.setDelayTimeLevel(1);
        producer.send(soon);
        Message late = message("Orders", "delay level 18, still waiting");
        late.setDelayTimeLevel(18);
        producer.send(late);
        Message timer = message("Orders", "timer of a day, still waiting");
        timer.setDelayTimeSec(86_400);
        producer.send(timer);

        retryAndDead(servers, producer);
        transactions(servers);

        consume(servers, "GroupA", "Orders", 243);
        SubscriptionGroupConfig groupB = new SubscriptionGroupConfig();
        groupB.setGroupName("GroupB");
        groupB.setRetryMaxTimes(3);
        admin.createAndUpdateSubscriptionGroupConfig(servers.brokerAddress(), groupB);
        admin.updateConsumeOffset(servers.brokerAddress(), "GroupB", new MessageQueue("Orders", JavaServers.BROKER, 0), 7);
        admin.updateConsumeOffset(servers.brokerAddress(), "GroupB", new MessageQueue("Orders", JavaServers.BROKER, 3), 60);
        // The broker writes the offsets every five seconds, the delay service its own every ten.
        Thread.sleep(12_000);
        producer.shutdown();
        admin.shutdown();
    }

    private static Message message(String topic, String body) {
        return new Message(topic, body.getBytes(StandardCharsets.UTF_8));
    }

    private static DefaultMQPushConsumer consumer(JavaServers servers, String group, String topic, MessageListenerConcurrently listener)
        throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(servers.namesrvAddress());
        consumer.setInstanceName("consumer" + System.nanoTime());
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setPollNameServerInterval(1000);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(listener);
        consumer.start();
        return consumer;
    }

    private static void consume(JavaServers servers, String group, String topic, int messages) throws Exception {
        AtomicInteger count = new AtomicInteger();
        DefaultMQPushConsumer consumer = consumer(servers, group, topic, (given, context) -> {
            count.addAndGet(given.size());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        await(group + " to consume " + messages, () -> count.get() >= messages);
        consumer.shutdown();
    }

    /** One message fails once and then succeeds, one goes to the dead letters at once. */
    private static void retryAndDead(JavaServers servers, DefaultMQProducer producer) throws Exception {
        AtomicInteger seen = new AtomicInteger();
        DefaultMQPushConsumer consumer = consumer(servers, "GroupRetry", "Retries", (given, context) -> {
            MessageExt m = given.get(0);
            seen.incrementAndGet();
            context.setDelayLevelWhenNextConsume("dead".equals(m.getKeys()) ? -1 : 1);
            return m.getReconsumeTimes() == 0 ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        for (String key : new String[] {"again", "dead"}) {
            Message m = message("Retries", key);
            m.setKeys(key);
            producer.send(m);
        }
        await("a retry", () -> seen.get() >= 3);
        consumer.shutdown();
    }

    /** One committed, one rolled back, one undecided. */
    private static void transactions(JavaServers servers) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer("GoldenTransactions");
        producer.setNamesrvAddr(servers.namesrvAddress());
        producer.setInstanceName("transactions" + System.nanoTime());
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message m, Object state) {
                return (LocalTransactionState) state;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt m) {
                return LocalTransactionState.UNKNOW;
            }
        });
        producer.start();
        for (LocalTransactionState state : LocalTransactionState.values()) {
            producer.sendMessageInTransaction(message("Transactions", state.name()), state);
        }
        producer.shutdown();
    }

    private static Thread sendUntilKilled(JavaServers servers) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("GoldenLate");
        producer.setNamesrvAddr(servers.namesrvAddress());
        producer.setInstanceName("late" + System.nanoTime());
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
        Thread sender = new Thread(() -> {
            try {
                for (int i = 0; i < 150; i++) {
                    Message m = message("Orders", "late " + i);
                    m.setKeys("late-" + i);
                    producer.send(m);
                }
            } catch (Exception e) {
                // The broker is gone.
            }
            producer.shutdown();
        });
        sender.start();
        return sender;
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private static void await(String what, Condition condition) throws Exception {
        for (int i = 0; !condition.holds(); i++) {
            if (i > 1200) {
                throw new IllegalStateException("never came: " + what);
            }
            Thread.sleep(50);
        }
    }

    // ---- what there is then -------------------------------------------------------------------------------------

    /** Offsets as the broker tells them: topic, queue id, smallest offset, offset of the next message. */
    private static Object topics(JavaServers servers) throws Exception {
        DefaultMQAdminExt admin = servers.admin();
        List<Object> topics = new ArrayList<>();
        for (String topic : new java.util.TreeSet<>(admin.getAllTopicConfig(servers.brokerAddress(), 5000).getTopicConfigTable().keySet())) {
            Map<MessageQueue, TopicOffset> offsets;
            try {
                offsets = new TreeMap<>(admin.examineTopicStats(servers.brokerAddress(), topic).getOffsetTable());
            } catch (Exception e) {
                System.err.println(topic + ": " + e);
                continue;
            }
            for (Map.Entry<MessageQueue, TopicOffset> entry : offsets.entrySet()) {
                if (entry.getValue().getMaxOffset() > 0) {
                    Map<String, Object> queue = new LinkedHashMap<>();
                    queue.put("topic", topic);
                    queue.put("queue_id", entry.getKey().getQueueId());
                    queue.put("min_offset", entry.getValue().getMinOffset());
                    queue.put("max_offset", entry.getValue().getMaxOffset());
                    topics.add(queue);
                }
            }
        }
        admin.shutdown();
        return topics;
    }

    private static Object consumerOffsets(Path store) throws IOException {
        JSONObject file = JSON.parseObject(Files.readString(store.resolve("config/consumerOffset.json")));
        Map<String, Object> groups = new TreeMap<>();
        for (Map.Entry<String, Object> entry : file.getJSONObject("offsetTable").entrySet()) {
            Map<String, Object> queues = new TreeMap<>();
            // The keys are numbers to fastjson, whatever the map's type says.
            for (Map.Entry<?, ?> queue : ((Map<?, ?>) entry.getValue()).entrySet()) {
                queues.put(queue.getKey().toString(), ((Number) queue.getValue()).longValue());
            }
            groups.put(entry.getKey(), queues);
        }
        return groups;
    }

    private static Object files(Path store) throws IOException {
        Map<String, Object> files = new TreeMap<>();
        try (Stream<Path> walk = Files.walk(store)) {
            for (Path path : walk.filter(Files::isRegularFile).collect(Collectors.toList())) {
                String name = store.relativize(path).toString();
                if (wanted(name)) {
                    files.put(name, Files.size(path));
                }
            }
        }
        return files;
    }

    /** Every record of the commit log, read from the files with RocketMQ's own decoder. */
    private static Object messages(Path store) throws Exception {
        List<Object> messages = new ArrayList<>();
        List<Path> segments;
        try (Stream<Path> list = Files.list(store.resolve("commitlog"))) {
            segments = list.sorted().collect(Collectors.toList());
        }
        for (Path segment : segments) {
            ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(segment));
            long start = Long.parseLong(segment.getFileName().toString());
            int position = 0;
            while (position + 8 <= bytes.limit()) {
                int size = bytes.getInt(position);
                int magic = bytes.getInt(position + 4);
                if (size <= 0 || magic != MessageDecoder.MESSAGE_MAGIC_CODE && magic != MessageDecoder.MESSAGE_MAGIC_CODE_V2) {
                    break;
                }
                ByteBuffer record = bytes.duplicate();
                record.position(position).limit(position + size);
                MessageExt m = MessageDecoder.decode(record.slice(), true, false);
                if (m == null || m.getCommitLogOffset() != start + position) {
                    throw new IllegalStateException("record at " + (start + position));
                }
                if (UtilAll.crc32(m.getBody()) != m.getBodyCRC()) {
                    throw new IllegalStateException("body of the record at " + (start + position));
                }
                Map<String, Object> line = new LinkedHashMap<>();
                line.put("topic", m.getTopic());
                line.put("queue_id", m.getQueueId());
                line.put("queue_offset", m.getQueueOffset());
                line.put("physical_offset", m.getCommitLogOffset());
                line.put("size", size);
                line.put("sys_flag", m.getSysFlag());
                line.put("body_crc", m.getBodyCRC());
                line.put("store_timestamp", m.getStoreTimestamp());
                line.put("reconsume_times", m.getReconsumeTimes());
                line.put("prepared_transaction_offset", m.getPreparedTransactionOffset());
                line.put("tags", m.getTags());
                line.put("keys", m.getKeys());
                line.put("unique_key", m.getProperty("UNIQ_KEY"));
                line.put("msg_id", m.getMsgId());
                messages.add(line);
                position += size;
            }
        }
        return messages;
    }

    /** The broker's word and the files must agree. */
    private static void check(Map<String, Object> manifest) {
        Map<String, Long> next = new TreeMap<>();
        for (Object o : (List<?>) manifest.get("messages")) {
            Map<?, ?> m = (Map<?, ?>) o;
            next.merge(m.get("topic") + "/" + m.get("queue_id"), (Long) m.get("queue_offset") + 1, Math::max);
        }
        Map<String, Long> told = new TreeMap<>();
        for (Object o : (List<?>) manifest.get("topics")) {
            Map<?, ?> queue = (Map<?, ?>) o;
            told.put(queue.get("topic") + "/" + queue.get("queue_id"), (Long) queue.get("max_offset"));
        }
        if (!next.equals(told)) {
            throw new IllegalStateException("commit log " + next + "\nbroker " + told);
        }
    }

    /** One array element a line. */
    private static String pretty(Map<String, Object> manifest) {
        StringBuilder out = new StringBuilder("{\n");
        String between = "";
        for (Map.Entry<String, Object> entry : manifest.entrySet()) {
            out.append(between).append(Json.write(entry.getKey())).append(": ");
            between = ",\n";
            if (entry.getValue() instanceof List) {
                out.append("[\n").append(((List<?>) entry.getValue()).stream().map(Json::write).collect(Collectors.joining(",\n"))).append("\n]");
            } else {
                out.append(Json.write(entry.getValue()));
            }
        }
        return out.append("\n}\n").toString();
    }

    private static void copy(Path from, Path to) throws IOException {
        try (Stream<Path> walk = Files.walk(from)) {
            for (Path path : walk.collect(Collectors.toList())) {
                Path target = to.resolve(from.relativize(path).toString());
                if (Files.isDirectory(path)) {
                    Files.createDirectories(target);
                } else {
                    Files.copy(path, target);
                }
            }
        }
    }
}
