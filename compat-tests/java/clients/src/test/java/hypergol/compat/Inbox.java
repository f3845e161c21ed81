package hypergol.compat;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyContext;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.MessageExt;

/** Keeps what a consumer was given. */
final class Inbox implements MessageListenerConcurrently {
    private final List<MessageExt> messages = new ArrayList<>();

    @Override
    public ConsumeConcurrentlyStatus consumeMessage(List<MessageExt> given, ConsumeConcurrentlyContext context) {
        add(given);
        return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
    }

    synchronized void add(Collection<MessageExt> given) {
        messages.addAll(given);
    }

    synchronized List<MessageExt> messages() {
        return new ArrayList<>(messages);
    }

    synchronized int size() {
        return messages.size();
    }

    synchronized void clear() {
        messages.clear();
    }

    List<String> bodies() {
        return messages().stream().map(Inbox::body).collect(Collectors.toList());
    }

    static String body(MessageExt message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    /** Waits until each of these bodies has come at least once. */
    void awaitAll(Collection<String> wanted) throws Exception {
        awaitAll(wanted, Cluster.PATIENCE_MS);
    }

    void awaitAll(Collection<String> wanted, long millis) throws Exception {
        try {
            Cluster.await("all messages", millis, () -> new HashSet<>(bodies()).containsAll(wanted));
        } catch (AssertionError e) {
            Set<String> missing = new HashSet<>(wanted);
            missing.removeAll(bodies());
            throw new AssertionError(missing.size() + " of " + wanted.size() + " messages did not arrive, such as "
                + missing.stream().sorted().limit(5).collect(Collectors.toList()), e);
        }
    }
}
