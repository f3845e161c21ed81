package hypergol.compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

/** What servers send by themselves, seen on a bare connection: Java's client would hide a missing notice behind its timers. */
class NoticeTest {
    private static final int HEART_BEAT = 34;
    private static final int UNREGISTER_CLIENT = 35;
    private static final int NOTIFY_CONSUMER_IDS_CHANGED = 40;

    /** A connection that speaks frames with JSON headers. */
    private static final class Connection implements AutoCloseable {
        private final Socket socket;
        private final DataInputStream in;
        private final DataOutputStream out;

        Connection(String address) throws IOException {
            int colon = address.lastIndexOf(':');
            socket = new Socket(address.substring(0, colon), Integer.parseInt(address.substring(colon + 1)));
            socket.setSoTimeout((int) Cluster.PATIENCE_MS);
            in = new DataInputStream(socket.getInputStream());
            out = new DataOutputStream(socket.getOutputStream());
        }

        void send(int code, String extFields, String body) throws IOException {
            byte[] header = ("{\"code\":" + code + ",\"extFields\":" + extFields
                + ",\"flag\":0,\"language\":\"JAVA\",\"opaque\":" + code + ",\"version\":401}").getBytes(StandardCharsets.UTF_8);
            byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
            out.writeInt(4 + header.length + bytes.length);
            out.writeInt(header.length);
            out.write(header);
            out.write(bytes);
            out.flush();
        }

        /** The next frame's header. */
        String receive() throws IOException {
            byte[] frame = new byte[in.readInt()];
            in.readFully(frame);
            int header = (frame[1] & 0xff) << 16 | (frame[2] & 0xff) << 8 | frame[3] & 0xff;
            assertEquals(0, frame[0], "answers come as JSON unless the server is told otherwise");
            return new String(frame, 4, header, StandardCharsets.UTF_8);
        }

        void beat(String client, String group, String topic) throws IOException {
            send(HEART_BEAT, "{}", "{\"clientID\":\"" + client + "\",\"consumerDataSet\":[{\"consumeFromWhere\":\"CONSUME_FROM_LAST_OFFSET\","
                + "\"consumeType\":\"CONSUME_PASSIVELY\",\"groupName\":\"" + group + "\",\"messageModel\":\"CLUSTERING\","
                + "\"subscriptionDataSet\":[{\"classFilterMode\":false,\"codeSet\":[],\"expressionType\":\"TAG\",\"subString\":\"*\","
                + "\"subVersion\":1,\"tagsSet\":[],\"topic\":\"" + topic + "\"}],\"unitMode\":false}],\"heartbeatFingerprint\":0,"
                + "\"producerDataSet\":[],\"withoutSub\":false}");
        }

        /** Reads until the answer to a request has come; notices for other groups do not exist here. */
        String awaitAnswer(int opaque) throws IOException {
            while (true) {
                String header = receive();
                if (header.contains("\"opaque\":" + opaque + ",") && header.contains("\"flag\":1")) {
                    return header;
                }
            }
        }

        void awaitNotice(String group) throws IOException {
            while (true) {
                String header = receive();
                if (header.contains("\"code\":" + NOTIFY_CONSUMER_IDS_CHANGED + ",")) {
                    assertTrue(header.contains("\"consumerGroup\":\"" + group + "\""), header);
                    return;
                }
            }
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }
    }

    @Test
    void membersAreToldWhenTheGroupChanges() throws Exception {
        String broker = Cluster.masters().values().iterator().next();
        String topic = Cluster.topicOn(Cluster.anyBroker(), 2);
        String group = Cluster.unique("Notice");
        try (Connection one = new Connection(broker)) {
            one.beat("one@" + group, group, topic);
            String answer = one.awaitAnswer(HEART_BEAT);
            assertTrue(answer.contains("\"code\":0,"), answer);
            try (Connection two = new Connection(broker)) {
                two.beat("two@" + group, group, topic);
                two.awaitAnswer(HEART_BEAT);
                one.awaitNotice(group);
                two.send(UNREGISTER_CLIENT, "{\"clientID\":\"two@" + group + "\",\"consumerGroup\":\"" + group + "\"}", "");
                one.awaitNotice(group);
            }
            try (Connection three = new Connection(broker)) {
                three.beat("three@" + group, group, topic);
                three.awaitAnswer(HEART_BEAT);
                one.awaitNotice(group);
            }
            // The third one left without a word.
            one.awaitNotice(group);
        }
    }
}
