package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Test;

/** Clients that speak TLS, to name server and brokers that speak both on one port. */
class TlsTest {
    /** What is too long for one TLS record, and cannot be compressed. */
    private static final int LONG_BODY = 1_000_000;

    private static DefaultMQProducer producer(boolean tls) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(Cluster.unique("Tls"));
        secure(producer, tls);
        producer.start();
        return producer;
    }

    private static DefaultMQPushConsumer consumer(String topic, Inbox inbox, boolean tls) throws Exception {
        DefaultMQPushConsumer consumer = Cluster.push(Cluster.unique("Tls"));
        secure(consumer, tls);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(inbox);
        consumer.start();
        return consumer;
    }

    private static void secure(ClientConfig client, boolean tls) {
        client.setNamesrvAddr(Cluster.NAMESRV);
        client.setInstanceName(Cluster.unique("tls"));
        client.setUseTLS(tls);
    }

    @Test
    void tlsAndPlainTextMeetInOneTopic() throws Exception {
        String topic = Cluster.topic(2);
        Inbox overTls = new Inbox();
        Inbox overPlain = new Inbox();
        DefaultMQPushConsumer tlsConsumer = consumer(topic, overTls, true);
        DefaultMQPushConsumer plainConsumer = consumer(topic, overPlain, false);
        DefaultMQProducer tlsProducer = producer(true);
        DefaultMQProducer plainProducer = producer(false);
        List<String> sent = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            DefaultMQProducer producer = i % 2 == 0 ? tlsProducer : plainProducer;
            assertEquals(SendStatus.SEND_OK, producer.send(SendTest.message(topic, "m" + i)).getSendStatus());
            sent.add("m" + i);
        }
        overTls.awaitAll(sent);
        overPlain.awaitAll(sent);
        tlsConsumer.shutdown();
        plainConsumer.shutdown();
        tlsProducer.shutdown();
        plainProducer.shutdown();
    }

    @Test
    void longMessagesGoThrough() throws Exception {
        String topic = Cluster.topic(1);
        byte[] body = new byte[LONG_BODY];
        new Random(1).nextBytes(body);
        DefaultMQProducer producer = producer(true);
        for (int i = 0; i < 5; i++) {
            assertEquals(SendStatus.SEND_OK, producer.send(new Message(topic, body)).getSendStatus());
        }
        producer.shutdown();
        DefaultLitePullConsumer consumer = Cluster.litePull(Cluster.unique("Tls"));
        secure(consumer, true);
        consumer.subscribe(topic, "*");
        consumer.start();
        List<MessageExt> got = new ArrayList<>();
        Cluster.await("5 long messages", () -> {
            got.addAll(consumer.poll(500));
            return got.size() == 5;
        });
        consumer.shutdown();
        for (MessageExt message : got) {
            assertEquals(LONG_BODY, message.getBody().length);
            assertEquals(java.util.Arrays.hashCode(body), java.util.Arrays.hashCode(message.getBody()));
        }
    }
}
