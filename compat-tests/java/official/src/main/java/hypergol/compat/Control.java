package hypergol.compat;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import org.junit.AssumptionViolatedException;

/** Client of the runner's control socket (compat-tests/README.md): stops and starts servers. */
final class Control {
    private Control() {
    }

    /** One command, one answer. Skips the running test where the servers are not ours to stop. */
    static void command(String line) {
        String address = System.getenv("COMPAT_CONTROL");
        if (address == null || address.isEmpty()) {
            throw new AssumptionViolatedException("the test restarts brokers, and COMPAT_CONTROL is not set");
        }
        int colon = address.lastIndexOf(':');
        try (Socket socket = new Socket(address.substring(0, colon), Integer.parseInt(address.substring(colon + 1)))) {
            socket.setSoTimeout(180_000);
            socket.getOutputStream().write((line + "\n").getBytes(StandardCharsets.UTF_8));
            String answer = new BufferedReader(
                new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8)).readLine();
            if (answer == null || !answer.startsWith("ok")) {
                throw new IllegalStateException(line + ": " + answer);
            }
        } catch (IOException e) {
            throw new IllegalStateException("control socket " + address + ": " + line, e);
        }
    }
}
