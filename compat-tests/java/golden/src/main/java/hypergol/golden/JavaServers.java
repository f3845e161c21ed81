package hypergol.golden;

import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.broker.BrokerStartup;
import org.apache.rocketmq.namesrv.NamesrvStartup;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** A Java name server and one broker, each a process of its own with this program's class path. */
final class JavaServers implements AutoCloseable {
    static final String BROKER = "broker-a";

    private final Path work;
    private final Path store;
    private final Map<String, String> settings;
    private final int namesrvPort;
    private final int brokerPort;
    private Process namesrv;
    private Process broker;

    JavaServers(Path work, Path store, Map<String, String> settings) throws Exception {
        this.work = work;
        this.store = store;
        this.settings = settings;
        namesrvPort = freePort();
        brokerPort = freePort();
        namesrv = start("namesrv", NamesrvStartup.class, Map.of("listenPort", "" + namesrvPort, "bindAddress", "127.0.0.1",
            "kvConfigPath", work.resolve("kv.json").toString(), "configStorePath", work.resolve("namesrv.properties").toString()));
        startBroker();
    }

    String namesrvAddress() {
        return "127.0.0.1:" + namesrvPort;
    }

    String brokerAddress() {
        return "127.0.0.1:" + brokerPort;
    }

    Process broker() {
        return broker;
    }

    void startBroker() throws Exception {
        Map<String, String> config = new TreeMap<>(settings);
        config.put("brokerName", BROKER);
        config.put("brokerClusterName", "DefaultCluster");
        config.put("brokerIP1", "127.0.0.1");
        config.put("namesrvAddr", namesrvAddress());
        config.put("listenPort", "" + brokerPort);
        config.put("haListenPort", "" + (brokerPort + 1));
        config.put("storePathRootDir", store.toString());
        config.put("storePathCommitLog", store.resolve("commitlog").toString());
        broker = start(BROKER, BrokerStartup.class, config);
        DefaultMQAdminExt admin = admin();
        try {
            for (int i = 0; ; i++) {
                try {
                    if (admin.examineBrokerClusterInfo().getBrokerAddrTable().containsKey(BROKER)) {
                        admin.fetchBrokerRuntimeStats(brokerAddress());
                        return;
                    }
                } catch (Exception e) {
                    // Not yet.
                }
                if (i > 600 || !broker.isAlive()) {
                    throw new IllegalStateException("the broker did not start, see " + work);
                }
                Thread.sleep(100);
            }
        } finally {
            admin.shutdown();
        }
    }

    DefaultMQAdminExt admin() throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(5000);
        admin.setNamesrvAddr(namesrvAddress());
        admin.setInstanceName("admin" + System.nanoTime());
        admin.start();
        return admin;
    }

    /** SIGTERM, and wait. */
    void stopBroker() throws InterruptedException {
        broker.destroy();
        if (!broker.waitFor(60, TimeUnit.SECONDS)) {
            throw new IllegalStateException("the broker does not end");
        }
    }

    /** SIGKILL, and wait. */
    void killBroker() throws InterruptedException {
        broker.destroyForcibly().waitFor();
    }

    @Override
    public void close() throws Exception {
        for (Process process : new Process[] {broker, namesrv}) {
            if (process != null && process.isAlive()) {
                process.destroy();
                if (!process.waitFor(60, TimeUnit.SECONDS)) {
                    process.destroyForcibly().waitFor();
                }
            }
        }
    }

    private Process start(String name, Class<?> main, Map<String, String> config) throws IOException {
        Path home = Files.createDirectories(work.resolve(name));
        StringBuilder text = new StringBuilder();
        new TreeMap<>(config).forEach((key, value) -> text.append(key).append('=').append(value).append('\n'));
        Path file = Files.write(home.resolve("config"), text.toString().getBytes(StandardCharsets.UTF_8));
        List<String> command = new ArrayList<>(List.of(
            System.getProperty("java.home") + "/bin/java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "--add-opens=java.base/java.nio=ALL-UNNAMED", "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
            "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED", "-Duser.home=" + home, "-Drocketmq.home.dir=" + home,
            "-Drocketmq.broker.diskSpaceWarningLevelRatio=0.99", "-Drocketmq.broker.diskSpaceCleanForciblyRatio=0.98",
            "-cp", System.getProperty("java.class.path"), main.getName(), "-c", file.toString()));
        File out = home.resolve("out").toFile();
        return new ProcessBuilder(command).directory(home.toFile()).redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(out)).start();
    }

    /** A port p with p - 2 (the broker's fast port) and p + 1 (replication) free as well. */
    private static int freePort() throws IOException {
        while (true) {
            try (ServerSocket one = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
                 ServerSocket two = new ServerSocket(one.getLocalPort() - 2);
                 ServerSocket three = new ServerSocket(one.getLocalPort() + 1)) {
                return one.getLocalPort();
            } catch (IOException e) {
                // Try others.
            }
        }
    }
}
