package hypergol.compat;

import java.lang.reflect.InvocationTargetException;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.function.BiConsumer;
import org.apache.rocketmq.common.MixAll;
import org.mockito.Mockito;

/**
 * Stand-in for a configuration object inside a server: getters read a local copy, setters also send the new value to
 * the server. Remembers what the server said at first, so that a test class leaves no setting behind.
 */
final class LiveConfig<T> {
    private final T copy;
    private final T standIn;
    private final Properties atFirst;
    private final BiConsumer<String, String> send;
    private final Map<String, String> changed = new HashMap<>();

    /**
     * @param copy an object with the defaults, filled here with the server's values
     * @param values the server's answer to a get-configuration request
     * @param send tells the server a key and its new value
     */
    LiveConfig(T copy, Class<T> type, Properties values, BiConsumer<String, String> send) {
        this.copy = copy;
        this.atFirst = values;
        this.send = send;
        MixAll.properties2Object(values, copy);
        this.standIn = Mockito.mock(type, Mockito.withSettings().stubOnly().defaultAnswer(call -> {
            Object result;
            try {
                result = call.getMethod().invoke(copy, call.getArguments());
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
            String name = call.getMethod().getName();
            if (name.startsWith("set") && call.getArguments().length == 1) {
                String key = Character.toLowerCase(name.charAt(3)) + name.substring(4);
                set(key, String.valueOf((Object) call.getArgument(0)));
            }
            return result;
        }));
    }

    T standIn() {
        return standIn;
    }

    private void set(String key, String value) {
        send.accept(key, value);
        changed.put(key, value);
    }

    /** Puts back every value that was changed since the last call. */
    void restore() {
        Properties back = new Properties();
        for (Map.Entry<String, String> e : changed.entrySet()) {
            String before = atFirst.getProperty(e.getKey());
            if (before != null && !before.equals(e.getValue())) {
                back.setProperty(e.getKey(), before);
                send.accept(e.getKey(), before);
            }
        }
        MixAll.properties2Object(back, copy);
        changed.clear();
    }
}
