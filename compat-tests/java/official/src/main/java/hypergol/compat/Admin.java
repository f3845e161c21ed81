package hypergol.compat;

import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.impl.MQClientAPIImpl;
import org.apache.rocketmq.common.MixAll;
import org.apache.rocketmq.remoting.protocol.route.BrokerData;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** The one admin client of this process: how the stand-ins see the servers. */
public final class Admin {
    /** Bound of one admin request. */
    public static final long TIMEOUT_MS = 10_000;
    private static final Admin INSTANCE = new Admin(System.getenv("NAMESRV_ADDR"));

    private final String namesrvAddr;
    private final DefaultMQAdminExt ext = new DefaultMQAdminExt(TIMEOUT_MS);

    private Admin(String namesrvAddr) {
        if (namesrvAddr == null || namesrvAddr.isEmpty()) {
            throw new IllegalStateException("environment variable NAMESRV_ADDR is not set");
        }
        this.namesrvAddr = namesrvAddr;
        ext.setNamesrvAddr(namesrvAddr);
        ext.setInstanceName("compat-stand-in-" + ProcessHandle.current().pid());
        try {
            ext.start();
        } catch (MQClientException e) {
            throw new IllegalStateException(e);
        }
    }

    public static Admin get() {
        return INSTANCE;
    }

    public String namesrvAddr() {
        return namesrvAddr;
    }

    public DefaultMQAdminExt ext() {
        return ext;
    }

    public MQClientAPIImpl api() {
        return ext.getDefaultMQAdminExtImpl().getMqClientInstance().getMQClientAPIImpl();
    }

    /** Names and master addresses of all registered brokers, sorted by name. */
    public TreeMap<String, String> masters() {
        try {
            TreeMap<String, String> masters = new TreeMap<>();
            for (BrokerData broker : ext.examineBrokerClusterInfo().getBrokerAddrTable().values()) {
                String addr = broker.getBrokerAddrs().get(MixAll.MASTER_ID);
                if (addr != null) {
                    masters.put(broker.getBrokerName(), addr);
                }
            }
            return masters;
        } catch (Exception e) {
            throw new IllegalStateException("name server " + namesrvAddr + " does not tell its brokers", e);
        }
    }

    /** The three brokers that the official tests want, as names. */
    public List<String> threeBrokers() {
        List<String> names = new ArrayList<>(masters().keySet());
        if (names.size() != 3) {
            throw new IllegalStateException("the official tests want three master brokers, there are " + names);
        }
        return names;
    }
}
