package hypergol.filter;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.filter.expression.BooleanExpression;
import org.apache.rocketmq.filter.expression.EvaluationContext;
import org.apache.rocketmq.filter.expression.MQFilterException;
import org.apache.rocketmq.filter.parser.SelectorParser;
import org.apache.rocketmq.filter.util.BloomFilter;

/**
 * Answers, line by line, what RocketMQ's own filter makes of an expression, or its bloom filter of a name.
 *
 * Lines are fields separated by tabs; text is hexadecimal UTF-8.
 * "E expression name value name value ..." -> "refused", "error", "null", "true" or "false".
 * "B errorPercent names text" -> "bits position position ...".
 */
public final class Evaluate {
    private Evaluate() {
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        BufferedWriter out = new BufferedWriter(new OutputStreamWriter(System.out, StandardCharsets.US_ASCII));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] fields = line.split("\t", -1);
            out.write("B".equals(fields[0]) ? bloom(fields) : evaluate(fields));
            out.write('\n');
        }
        out.flush();
    }

    private static String evaluate(String[] fields) {
        BooleanExpression expression;
        try {
            expression = SelectorParser.parse(text(fields[1]));
        } catch (MQFilterException e) {
            return "refused";
        }
        Map<String, String> properties = new HashMap<>();
        for (int i = 2; i + 1 < fields.length; i += 2) {
            properties.put(text(fields[i]), text(fields[i + 1]));
        }
        try {
            Object value = expression.evaluate(new Message(properties));
            return String.valueOf(value);
        } catch (Throwable e) {
            return "error";
        }
    }

    private static String bloom(String[] fields) {
        BloomFilter filter = BloomFilter.createByFn(Integer.parseInt(fields[1]), Integer.parseInt(fields[2]));
        StringBuilder answer = new StringBuilder().append(filter.getM());
        Arrays.stream(filter.calcBitPositions(text(fields[3]))).forEach(position -> answer.append(' ').append(position));
        return answer.toString();
    }

    private static String text(String hexadecimal) {
        byte[] bytes = new byte[hexadecimal.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(hexadecimal.substring(2 * i, 2 * i + 2), 16);
        }
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private static final class Message implements EvaluationContext {
        private final Map<String, String> properties;

        Message(Map<String, String> properties) {
            this.properties = properties;
        }

        @Override
        public Object get(String name) {
            return properties.get(name);
        }

        @Override
        public Map<String, Object> keyValues() {
            return new HashMap<>(properties);
        }
    }
}
