package hypergol.compat;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Assumptions;

/** The runner's control socket: kills and starts servers. */
final class Control implements AutoCloseable {
    private final Socket socket;
    private final BufferedReader answers;

    private Control(String address) throws IOException {
        int colon = address.lastIndexOf(':');
        socket = new Socket(address.substring(0, colon), Integer.parseInt(address.substring(colon + 1)));
        answers = new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));
    }

    /** Skips the running test when the servers are not the runner's to kill. */
    static Control open() throws IOException {
        String address = System.getenv("COMPAT_CONTROL");
        Assumptions.assumeTrue(address != null && !address.isEmpty(), "COMPAT_CONTROL is not set: the servers are not ours to kill");
        return new Control(address);
    }

    void command(String line) throws IOException {
        socket.getOutputStream().write((line + "\n").getBytes(StandardCharsets.UTF_8));
        socket.getOutputStream().flush();
        String answer = answers.readLine();
        if (answer == null || !(answer.equals("ok") || answer.startsWith("ok "))) {
            throw new IOException(line + ": " + answer);
        }
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
