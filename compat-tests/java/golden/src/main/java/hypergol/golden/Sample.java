package hypergol.golden;

import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.BitSet;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.atomic.AtomicLong;

/** Fills objects of RocketMQ's protocol classes with values that depend on nothing but the field's name and type. */
final class Sample {
    /** 2023-11-14T22:13:20Z. */
    static final long TIME_MS = 1_700_000_000_000L;
    static final String AWKWARD = "q\" b\\ t\t n\n e\u0001 \u4e2d\u00e9 \ud83d\ude00 <&'/>";

    private Sample() {
    }

    /** How an object is filled. */
    enum Fill {
        /** Whatever the constructor leaves, times of the clock set to TIME_MS. */
        DEFAULT(0),
        /** Every reference null where Java lets it be, numbers 0. */
        NULLS(0),
        /** Text and numbers set, collections empty. */
        EMPTY(0),
        ONE(1),
        TWO(2),
        /** As ONE with extreme numbers and text that needs escaping. */
        EDGE(1);

        final int elements;

        Fill(int elements) {
            this.elements = elements;
        }
    }

    static List<Field> fields(Class<?> type) {
        List<Field> result = new ArrayList<>();
        for (Class<?> c = type; c != null && c != Object.class; c = c.getSuperclass()) {
            if (c.getName().startsWith("java.")) {
                break;
            }
            for (Field f : c.getDeclaredFields()) {
                if (Modifier.isStatic(f.getModifiers()) || Modifier.isTransient(f.getModifiers()) || f.isSynthetic()
                    || f.getType() == Random.class) {
                    continue;
                }
                f.setAccessible(true);
                result.add(f);
            }
        }
        result.sort((a, b) -> a.getName().compareTo(b.getName()));
        return result;
    }

    /** Through the constructor without parameters; an object whose class has none starts with zeroed fields. */
    static <T> T create(Class<T> type) throws ReflectiveOperationException {
        Constructor<T> constructor;
        try {
            constructor = type.getDeclaredConstructor();
        } catch (NoSuchMethodException e) {
            Field unsafe = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
            unsafe.setAccessible(true);
            return type.cast(((sun.misc.Unsafe) unsafe.get(null)).allocateInstance(type));
        }
        constructor.setAccessible(true);
        return constructor.newInstance();
    }

    static <T> T of(Class<T> type, Fill fill) throws ReflectiveOperationException {
        Object o = object(type, fill, 0, 0);
        freeze(o);
        return type.cast(o);
    }

    /** Sets every time that a constructor took from the clock to TIME_MS, so that each run writes the same. */
    static void freeze(Object o) throws ReflectiveOperationException {
        if (o instanceof Map) {
            freeze(((Map<?, ?>) o).values());
        } else if (o instanceof Iterable) {
            for (Object element : (Iterable<?>) o) {
                freeze(element);
            }
        } else if (o != null && o.getClass().getName().startsWith("org.apache.rocketmq.") && !(o instanceof Enum)) {
            for (Field f : fields(o.getClass())) {
                if (f.getType() == long.class) {
                    if (Math.abs(f.getLong(o) - System.currentTimeMillis()) < 60_000) {
                        f.setLong(o, TIME_MS);
                    }
                } else {
                    freeze(f.get(o));
                }
            }
        }
    }

    private static Object object(Class<?> type, Fill fill, int index, int depth) throws ReflectiveOperationException {
        Object target = create(type);
        for (Field f : fields(type)) {
            if (fill == Fill.DEFAULT) {
                continue;
            }
            if (fill == Fill.NULLS) {
                if (f.getType().isPrimitive()) {
                    continue;
                }
                f.set(target, null);
                continue;
            }
            f.set(target, value(f.getGenericType(), type, f.getName(), fill, index, depth + 1));
        }
        return target;
    }

    private static Object value(Type type, Class<?> owner, String name, Fill fill, int index, int depth)
        throws ReflectiveOperationException {
        if (depth > 10) {
            return null;
        }
        if (type instanceof TypeVariable) {
            return name + index;
        }
        if (type instanceof ParameterizedType) {
            return generic((ParameterizedType) type, name, fill, depth);
        }
        Class<?> c = (Class<?>) type;
        Object scalar = scalar(c, name, fill, index);
        if (scalar != null) {
            return scalar;
        }
        if (c == Properties.class) {
            Properties p = new Properties();
            for (int i = 0; i < fill.elements; i++) {
                p.put("PROP_" + i, "value" + i);
            }
            return p;
        }
        if (c == BitSet.class) {
            BitSet bits = new BitSet();
            bits.set(0);
            bits.set(9 + index);
            return bits;
        }
        if (c == byte[].class) {
            return name.getBytes(StandardCharsets.UTF_8);
        }
        if (c == long[].class) {
            return new long[] {1000, 5000, 30000};
        }
        if (c.isEnum()) {
            Object[] constants = c.getEnumConstants();
            return constants[Math.min(1 + index, constants.length - 1)];
        }
        if (c.isInterface() || c == Object.class || c.isArray() || Modifier.isAbstract(c.getModifiers())) {
            return null;
        }
        return object(c, fill, index, depth);
    }

    private static Object generic(ParameterizedType type, String name, Fill fill, int depth)
        throws ReflectiveOperationException {
        Class<?> raw = (Class<?>) type.getRawType();
        Type[] arguments = type.getActualTypeArguments();
        if (Map.class.isAssignableFrom(raw)) {
            Map<Object, Object> map = newMap(raw);
            for (int i = 0; i < fill.elements; i++) {
                map.put(key(arguments[0], name, i, depth), value(arguments[1], raw, name, fill, i, depth + 1));
            }
            return map;
        }
        if (Collection.class.isAssignableFrom(raw)) {
            Collection<Object> collection = newCollection(raw);
            for (int i = 0; i < fill.elements; i++) {
                collection.add(value(arguments[0], raw, name, fill, i, depth + 1));
            }
            return collection;
        }
        return null;
    }

    /** Keys stay ordinary in every fill, so that two fills of a map differ in their values only. */
    private static Object key(Type type, String name, int index, int depth) throws ReflectiveOperationException {
        return value(type, Map.class, name + "Key", Fill.ONE, index, depth + 1);
    }

    @SuppressWarnings("unchecked")
    private static Map<Object, Object> newMap(Class<?> raw) throws ReflectiveOperationException {
        if (raw == ConcurrentMap.class) {
            return new ConcurrentHashMap<>();
        }
        if (raw.isInterface()) {
            return raw == java.util.SortedMap.class ? new java.util.TreeMap<>() : new LinkedHashMap<>();
        }
        return (Map<Object, Object>) create(raw);
    }

    @SuppressWarnings("unchecked")
    private static Collection<Object> newCollection(Class<?> raw) throws ReflectiveOperationException {
        if (raw == Set.class) {
            return new LinkedHashSet<>();
        }
        if (raw.isInterface()) {
            return new ArrayList<>();
        }
        return (Collection<Object>) create(raw);
    }

    /** A value for a text, number, boolean; null for any other type. */
    static Object scalar(Class<?> c, String name, Fill fill, int index) {
        boolean edge = fill == Fill.EDGE;
        int number = 1000 + (name.hashCode() & 0x3ff) + index;
        if (c == String.class) {
            return edge ? AWKWARD : text(name, index);
        } else if (c == int.class || c == Integer.class) {
            return edge ? (number % 2 == 0 ? Integer.MIN_VALUE : -1) : index < 2 && name.endsWith("Key") ? index : number;
        } else if (c == long.class || c == Long.class) {
            return edge ? (number % 2 == 0 ? Long.MIN_VALUE : Long.MAX_VALUE)
                : name.endsWith("Key") ? index : TIME_MS + number;
        } else if (c == boolean.class || c == Boolean.class) {
            return !edge;
        } else if (c == double.class || c == Double.class) {
            return edge ? 1.0E-7 : number / 8.0;
        } else if (c == short.class || c == Short.class) {
            return (short) number;
        } else if (c == byte.class || c == Byte.class) {
            return (byte) index;
        } else if (c == AtomicLong.class) {
            return new AtomicLong(edge ? Long.MAX_VALUE : number);
        }
        return null;
    }

    private static String text(String name, int index) {
        switch (name) {
            case "topic":
            case "b":
            case "topicName":
                return "TopicTest" + index;
            case "properties":
            case "i":
                return "KEYS\u0001k1 k2\u0002TAGS\u0001A\u0002UNIQ_KEY\u00010A000001000100000000000000000000\u0002";
            case "attributes":
                return "+message.type=FIFO,-ttl";
            case "brokerAddr":
            case "addr":
                return "10.0.0." + (1 + index) + ":10911";
            default:
                return name + "-" + index;
        }
    }

    /** The object's own fields, read by reflection: what the encoded form should mean. */
    static Object describe(Object o) throws ReflectiveOperationException {
        if (o == null || o instanceof String || o instanceof Boolean || o instanceof Number && !(o instanceof AtomicLong)) {
            return o;
        }
        if (o instanceof AtomicLong) {
            return ((AtomicLong) o).get();
        }
        if (o instanceof Enum) {
            return ((Enum<?>) o).name();
        }
        if (o instanceof BitSet) {
            return Base64.getEncoder().encodeToString(((BitSet) o).toByteArray());
        }
        if (o instanceof byte[]) {
            return hex((byte[]) o);
        }
        if (o instanceof long[]) {
            List<Object> list = new ArrayList<>();
            for (long v : (long[]) o) {
                list.add(v);
            }
            return list;
        }
        if (o instanceof Map) {
            Map<?, ?> map = (Map<?, ?>) o;
            boolean plain = map.keySet().stream().allMatch(k -> k instanceof String);
            Map<String, Object> object = new LinkedHashMap<>();
            List<Object> entries = new ArrayList<>();
            for (Map.Entry<?, ?> e : map.entrySet()) {
                if (plain) {
                    object.put((String) e.getKey(), describe(e.getValue()));
                } else {
                    Map<String, Object> entry = new LinkedHashMap<>();
                    entry.put("key", describe(e.getKey()));
                    entry.put("value", describe(e.getValue()));
                    entries.add(entry);
                }
            }
            return plain ? object : entries;
        }
        if (o instanceof Collection) {
            List<Object> list = new ArrayList<>();
            for (Object e : (Collection<?>) o) {
                list.add(describe(e));
            }
            return list;
        }
        Map<String, Object> object = new LinkedHashMap<>();
        for (Field f : fields(o.getClass())) {
            object.put(f.getName(), describe(f.get(o)));
        }
        return object;
    }

    static String hex(byte[] bytes) {
        StringBuilder out = new StringBuilder(bytes.length * 2);
        for (byte b : bytes) {
            out.append(Character.forDigit((b >> 4) & 15, 16)).append(Character.forDigit(b & 15, 16));
        }
        return out.toString();
    }

    static byte[] unhex(String hex) {
        byte[] bytes = new byte[hex.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
        }
        return bytes;
    }
}
