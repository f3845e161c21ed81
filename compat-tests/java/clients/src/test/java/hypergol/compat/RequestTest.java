package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.RequestTimeoutException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** Request and reply, message traces, namespaces. */
class RequestTest {
    private final List<Runnable> started = new ArrayList<>();

    @AfterEach
    void stop() {
        started.forEach(Runnable::run);
    }

    private DefaultMQProducer producer() throws Exception {
        DefaultMQProducer producer = Cluster.producer();
        started.add(producer::shutdown);
        return producer;
    }

    /** A consumer that answers each message with its body and something more. */
    private void answerer(String topic, byte[] more) throws Exception {
        DefaultMQProducer answers = producer();
        DefaultMQPushConsumer consumer = Cluster.push(Cluster.unique("Answerer"));
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (var message : messages) {
                try {
                    byte[] body = Arrays.copyOf(message.getBody(), message.getBody().length + more.length);
                    System.arraycopy(more, 0, body, message.getBody().length, more.length);
                    answers.send(MessageUtil.createReplyMessage(message, body));
                } catch (Exception e) {
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        started.add(consumer::shutdown);
    }

    @Test
    void aRequestIsAnswered() throws Exception {
        String topic = Cluster.topic(2);
        answerer(topic, "!".getBytes());
        DefaultMQProducer asks = producer();
        DefaultMQProducer other = producer();
        for (int i = 0; i < 20; i++) {
            DefaultMQProducer from = i % 2 == 0 ? asks : other;
            Message answer = from.request(SendTest.message(topic, "q" + i), Cluster.PATIENCE_MS);
            assertEquals("q" + i + "!", new String(answer.getBody()));
        }
    }

    @Test
    void aLargeAnswerIsCompressedOnItsWay() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        byte[] more = new byte[100_000];
        Arrays.fill(more, (byte) 'x');
        answerer(topic, more);
        Message answer = producer().request(SendTest.message(topic, "large"), Cluster.PATIENCE_MS);
        assertEquals("large".length() + more.length, answer.getBody().length);
    }

    @Test
    void aRequestThatNobodyAnswersTimesOut() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        DefaultMQProducer asks = producer();
        assertThrows(RequestTimeoutException.class, () -> asks.request(SendTest.message(topic, "void"), 2000));
    }

    @Test
    void tracesCanBeQueried() throws Exception {
        String topic = Cluster.topicOn(Cluster.anyBroker(), 1);
        DefaultMQProducer producer = new DefaultMQProducer(Cluster.unique("Traced"), true, null);
        producer.setNamesrvAddr(Cluster.NAMESRV);
        producer.setInstanceName(Cluster.unique("traced"));
        producer.start();
        started.add(producer::shutdown);
        long begin = System.currentTimeMillis() - 60_000;
        SendResult sent = producer.send(SendTest.message(topic, "traced"));
        Cluster.await("a trace", () -> {
            var found = Cluster.admin().queryMessage("RMQ_SYS_TRACE_TOPIC", sent.getMsgId(), 32, begin, System.currentTimeMillis() + 60_000);
            return found.getMessageList().stream().anyMatch(trace -> new String(trace.getBody()).contains(topic));
        });
    }

    @Test
    void namespaceInTheTopicsName() throws Exception {
        String namespace = Cluster.unique("NS");
        String topic = Cluster.unique("Topic");
        for (String address : Cluster.masters().values()) {
            Cluster.admin().createAndUpdateTopicConfig(address, new TopicConfig(namespace + "%" + topic, 1, 1, 6));
        }
        exchange(topic, client -> {
            Method method = ClientConfig.class.getMethod("setNamespace", String.class);
            method.invoke(client, namespace);
        });
        Cluster.await("the group under its full name", () ->
            !Cluster.admin().queryTopicConsumeByWho(namespace + "%" + topic).getGroupList().isEmpty());
    }

    @Test
    void namespaceBesideTheTopicsName() throws Exception {
        Method method;
        try {
            method = ClientConfig.class.getMethod("setNamespaceV2", String.class);
        } catch (NoSuchMethodException e) {
            Assumptions.abort("this client has namespaces of the first kind only");
            return;
        }
        exchange(Cluster.topic(1), client -> method.invoke(client, Cluster.unique("NS")));
    }

    private interface Setting {
        void apply(ClientConfig client) throws Exception;
    }

    private void exchange(String topic, Setting setting) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(Cluster.unique("Namespaced"));
        producer.setNamesrvAddr(Cluster.NAMESRV);
        producer.setInstanceName(Cluster.unique("namespaced"));
        setting.apply(producer);
        producer.start();
        started.add(producer::shutdown);
        DefaultMQPushConsumer consumer = Cluster.push(Cluster.unique("Namespaced"));
        setting.apply(consumer);
        Inbox inbox = new Inbox();
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(inbox);
        consumer.start();
        started.add(consumer::shutdown);
        Cluster.await("a send", () -> producer.send(SendTest.message(topic, "here")) != null);
        inbox.awaitAll(List.of("here"));
        assertTrue(inbox.messages().stream().allMatch(message -> message.getTopic().equals(topic)), "the client hides the namespace");
        assertNotNull(inbox.messages().get(0).getMsgId());
    }
}
