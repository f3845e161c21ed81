package hypergol.compat;

import java.util.List;
import java.util.stream.Collectors;
import org.apache.rocketmq.broker.BrokerController;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.namesrv.NamesrvController;

/** The servers under test: one name server and three brokers, found through NAMESRV_ADDR. */
public final class Cluster {
    private static Cluster instance;

    private final RemoteNamesrv namesrv = new RemoteNamesrv();
    private final List<RemoteBroker> brokers;

    private Cluster() {
        brokers = Admin.get().threeBrokers().stream().map(RemoteBroker::new).collect(Collectors.toUnmodifiableList());
    }

    public static synchronized Cluster get() {
        if (instance == null) {
            instance = new Cluster();
        }
        return instance;
    }

    public NamesrvController namesrv() {
        return namesrv.standIn();
    }

    /** @param index 0, 1 or 2, in the order of the brokers' names */
    public BrokerController broker(int index) {
        return brokers.get(index).standIn();
    }

    /** Starts the stopped broker whose stand-in configuration this is; null when it is nobody's. */
    public BrokerController startAgain(BrokerConfig config) {
        for (RemoteBroker broker : brokers) {
            if (broker.owns(config)) {
                broker.start();
                return broker.standIn();
            }
        }
        return null;
    }

    /** Puts back every setting that a test class changed; does nothing before the first use of the cluster. */
    static synchronized void restoreConfig() {
        if (instance != null) {
            instance.namesrv.restoreConfig();
            instance.brokers.forEach(RemoteBroker::restoreConfig);
        }
    }
}
