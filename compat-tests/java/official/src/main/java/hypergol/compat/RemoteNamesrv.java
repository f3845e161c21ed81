package hypergol.compat;

import java.util.List;
import java.util.Properties;
import org.apache.rocketmq.common.namesrv.NamesrvConfig;
import org.apache.rocketmq.namesrv.NamesrvController;
import org.apache.rocketmq.remoting.netty.NettyServerConfig;
import org.mockito.Mockito;

/** Stand-in for the NamesrvController of a name server in another process. */
public final class RemoteNamesrv {
    private final NamesrvController standIn = Mockito.mock(NamesrvController.class, new Unsupported("NamesrvController"));
    private final LiveConfig<NamesrvConfig> config;

    public RemoteNamesrv() {
        List<String> addr = List.of(Admin.get().namesrvAddr());
        Properties values;
        try {
            values = Admin.get().api().getNameServerConfig(addr, Admin.TIMEOUT_MS).get(addr.get(0));
        } catch (Exception e) {
            throw new IllegalStateException("configuration of name server " + addr, e);
        }
        config = new LiveConfig<>(new NamesrvConfig(), NamesrvConfig.class, values, (key, value) -> {
            Properties one = new Properties();
            one.setProperty(key, value);
            try {
                Admin.get().api().updateNameServerConfig(one, addr, Admin.TIMEOUT_MS);
            } catch (Exception e) {
                throw new IllegalStateException("name server refuses " + one, e);
            }
        });
        NettyServerConfig netty = new NettyServerConfig();
        netty.setListenPort(Integer.parseInt(addr.get(0).substring(addr.get(0).lastIndexOf(':') + 1)));
        Mockito.doReturn(config.standIn()).when(standIn).getNamesrvConfig();
        Mockito.doReturn(netty).when(standIn).getNettyServerConfig();
    }

    public NamesrvController standIn() {
        return standIn;
    }

    public void restoreConfig() {
        config.restore();
    }
}
