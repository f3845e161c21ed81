package hypergol.compat;

import com.alibaba.fastjson2.JSONObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.Request;
import org.junit.runner.manipulation.Filter;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/**
 * Runs test classes that the Rust runner names, one a line on standard input, and reports to it in JSON lines on
 * standard output. What the tests print goes to standard error.
 *
 * <pre>
 * in   org.apache.rocketmq.test.X                     the whole class
 * in   org.apache.rocketmq.test.X +method +other[0]   only these methods
 * in   org.apache.rocketmq.test.X -method             all but these
 * out  {"event":"start","class":C,"method":M}
 * out  {"event":"end","class":C,"method":M,"status":"pass|fail|skip","millis":N,"message":S,"trace":S}
 * out  {"event":"done","class":C}
 * </pre>
 *
 * M is null for what concerns a class as a whole (an ignored class, a failing set-up).
 */
public final class RunOfficial {
    private static final int TRACE_MAX_CHARS = 20_000;
    private static PrintStream out;

    private RunOfficial() {
    }

    public static void main(String[] args) throws IOException {
        out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.trim().split(" ");
            if (!words[0].isEmpty()) {
                run(words[0], new Methods(words));
            }
        }
        // Clients that a test forgot must not keep this process alive.
        Runtime.getRuntime().halt(0);
    }

    private static void run(String className, Methods methods) {
        Reporter reporter = new Reporter(className);
        try {
            JUnitCore core = new JUnitCore();
            core.addListener(reporter);
            core.run(Request.aClass(Class.forName(className)).filterWith(methods));
        } catch (Throwable t) {
            reporter.end(null, "fail", t);
        }
        try {
            Cluster.restoreConfig();
        } catch (Throwable t) {
            reporter.end(null, "fail", t);
        }
        event("done", className, null);
    }

    private static JSONObject base(String event, String className, String method) {
        JSONObject line = new JSONObject();
        line.put("event", event);
        line.put("class", className);
        line.put("method", method);
        return line;
    }

    private static void event(String event, String className, String method) {
        out.println(base(event, className, method));
    }

    /** Which methods of the class run. */
    private static final class Methods extends Filter {
        private final Set<String> only = new HashSet<>();
        private final Set<String> not = new HashSet<>();

        Methods(String[] words) {
            Arrays.stream(words).skip(1).forEach(w -> (w.startsWith("+") ? only : not).add(w.substring(1)));
        }

        @Override
        public boolean shouldRun(Description test) {
            if (test.getMethodName() == null) {
                return test.getChildren().isEmpty() || test.getChildren().stream().anyMatch(this::shouldRun);
            }
            String method = test.getMethodName();
            String plain = method.contains("[") ? method.substring(0, method.indexOf('[')) : method;
            return (only.isEmpty() || only.contains(method) || only.contains(plain))
                && !not.contains(method) && !not.contains(plain);
        }

        @Override
        public String describe() {
            return "named methods";
        }
    }

    private static final class Reporter extends RunListener {
        private final String className;
        private long startedNanos = System.nanoTime();
        private String status;
        private Throwable why;

        Reporter(String className) {
            this.className = className;
        }

        @Override
        public void testStarted(Description test) {
            startedNanos = System.nanoTime();
            status = "pass";
            why = null;
            event("start", className, test.getMethodName());
        }

        @Override
        public void testFailure(Failure failure) {
            record(failure, "fail");
        }

        @Override
        public void testAssumptionFailure(Failure failure) {
            record(failure, "skip");
        }

        private void record(Failure failure, String newStatus) {
            if (failure.getDescription().getMethodName() == null) {
                end(null, newStatus, failure.getException());
            } else if (why == null) {
                // A failing tear-down after a failing test: the first is the cause.
                status = newStatus;
                why = failure.getException();
            }
        }

        @Override
        public void testFinished(Description test) {
            end(test.getMethodName(), status, why);
        }

        @Override
        public void testIgnored(Description test) {
            JSONObject line = base("end", className, test.getMethodName());
            line.put("status", "skip");
            line.put("millis", 0);
            line.put("message", "@Ignore");
            out.println(line);
        }

        void end(String method, String status, Throwable why) {
            JSONObject line = base("end", className, method);
            line.put("status", status);
            line.put("millis", (System.nanoTime() - startedNanos) / 1_000_000);
            if (why != null) {
                StringWriter trace = new StringWriter();
                why.printStackTrace(new PrintWriter(trace));
                line.put("message", String.valueOf(why));
                line.put("trace", trace.getBuffer().substring(0, Math.min(trace.getBuffer().length(), TRACE_MAX_CHARS)));
            }
            out.println(line);
        }
    }
}
