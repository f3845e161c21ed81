package hypergol.compat;

import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Reads a queue from its first to its last message, without a group's offsets. */
@SuppressWarnings("deprecation")
final class Reader {
    private static DefaultMQPullConsumer consumer;

    private Reader() {
    }

    static synchronized DefaultMQPullConsumer consumer() throws Exception {
        if (consumer == null) {
            consumer = new DefaultMQPullConsumer(Cluster.unique("Reader"));
            consumer.setNamesrvAddr(Cluster.NAMESRV);
            consumer.setInstanceName(Cluster.unique("reader"));
            consumer.setPollNameServerInterval(Cluster.REFRESH_MS);
            consumer.setHeartbeatBrokerInterval(Cluster.REFRESH_MS);
            consumer.start();
        }
        return consumer;
    }

    /** As readAll, once the queue holds so many messages: what was just sent shows up a moment later. */
    static List<MessageExt> readAll(MessageQueue queue, long messages) throws Exception {
        DefaultMQPullConsumer reader = consumer();
        Cluster.await(messages + " messages in " + queue, () -> reader.maxOffset(queue) - reader.minOffset(queue) >= messages);
        return readAll(queue);
    }

    static List<MessageExt> readAll(MessageQueue queue) throws Exception {
        DefaultMQPullConsumer reader = consumer();
        List<MessageExt> all = new ArrayList<>();
        long offset = reader.minOffset(queue);
        long end = reader.maxOffset(queue);
        while (offset < end) {
            PullResult result = reader.pull(queue, "*", offset, 32, 10_000);
            if (result.getPullStatus() == PullStatus.FOUND) {
                all.addAll(result.getMsgFoundList());
            } else if (result.getNextBeginOffset() <= offset) {
                throw new AssertionError("stuck at " + offset + " of " + end + " in " + queue + ": " + result);
            }
            offset = result.getNextBeginOffset();
        }
        return all;
    }
}
