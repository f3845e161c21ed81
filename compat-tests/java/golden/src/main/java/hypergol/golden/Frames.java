package hypergol.golden;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.common.BoundaryType;
import org.apache.rocketmq.remoting.CommandCustomHeader;
import org.apache.rocketmq.remoting.protocol.LanguageCode;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.SerializeType;

/** Writes headers.jsonl: whole frames of every header class, in both serialize types. Also calls the other writers. */
public final class Frames {
    static final int OPAQUE = 7;
    private static final String PACKAGE = "org.apache.rocketmq.remoting.protocol.header.";
    private static final String[] SUB_PACKAGES = {"", "namesrv.", "controller.", "controller.register.", "controller.admin."};

    private Frames() {
    }

    public static void main(String[] args) throws Exception {
        Path folder = Paths.get(args[0]);
        try (PrintWriter out = open(folder, "headers.jsonl")) {
            headers(out);
        }
        try (PrintWriter out = open(folder, "commands.jsonl")) {
            commands(out);
        }
        try (PrintWriter out = open(folder, "bodies.jsonl")) {
            Bodies.write(out);
        }
        try (PrintWriter out = open(folder, "messages.jsonl")) {
            Messages.write(out);
        }
        try (PrintWriter out = open(folder, "tolerance.jsonl")) {
            Tolerance.write(out);
        }
    }

    private static PrintWriter open(Path folder, String name) throws IOException {
        return new PrintWriter(Files.newBufferedWriter(folder.resolve(name), StandardCharsets.UTF_8));
    }

    /** How a header is filled; `required` leaves every field null that is not annotated as not-null. */
    private static final String[] VARIANTS = {"full", "required", "edge"};

    private static void headers(PrintWriter out) throws Exception {
        for (String[] row : codes()) {
            int code = Integer.parseInt(row[0]);
            header(out, code, row[1], row[2], "request", row[3]);
            header(out, code, row[1], row[2], "response", row[4]);
        }
    }

    private static void header(PrintWriter out, int code, String name, String answeredBy, String direction, String className)
        throws Exception {
        if (className.isEmpty()) {
            return;
        }
        Class<? extends CommandCustomHeader> type = find(className);
        List<String> written = new ArrayList<>();
        for (String variant : VARIANTS) {
            CommandCustomHeader header = fill(type, variant);
            Map<String, Object> fields = new LinkedHashMap<>();
            Map<String, Object> types = new LinkedHashMap<>();
            for (Field f : Sample.fields(type)) {
                Object value = f.get(header);
                types.put(f.getName(), f.getType().getSimpleName());
                if (value != null) {
                    fields.put(f.getName(), value instanceof Enum ? value.toString() : value);
                }
            }
            String key = Json.write(fields);
            if (written.contains(key)) {
                continue;
            }
            written.add(key);
            for (SerializeType serialize : SerializeType.values()) {
                if (serialize == SerializeType.ROCKETMQ && direction.equals("request") && code > Short.MAX_VALUE) {
                    continue;
                }
                RemotingCommand command = direction.equals("request")
                    ? RemotingCommand.createRequestCommand(code, header)
                    : RemotingCommand.createResponseCommandWithHeader(0, header);
                Map<String, Object> line = new LinkedHashMap<>();
                line.put("code", code);
                line.put("name", name);
                line.put("answered_by", answeredBy);
                line.put("direction", direction);
                line.put("class", className);
                line.put("variant", variant);
                line.put("serialize", serialize.name());
                line.put("frame", Sample.hex(frame(command, serialize)));
                line.put("types", types);
                line.put("fields", fields);
                out.println(Json.write(line));
            }
        }
    }

    private static CommandCustomHeader fill(Class<? extends CommandCustomHeader> type, String variant) throws Exception {
        CommandCustomHeader header = Sample.create(type);
        for (Field f : Sample.fields(type)) {
            boolean required = f.isAnnotationPresent(org.apache.rocketmq.remoting.annotation.CFNotNull.class)
                || f.getType().isPrimitive();
            if (variant.equals("required") && !required) {
                f.set(header, null);
                continue;
            }
            Object value = Sample.scalar(f.getType(), f.getName(),
                variant.equals("edge") ? Sample.Fill.EDGE : Sample.Fill.ONE, 0);
            if (f.getType() == BoundaryType.class) {
                value = BoundaryType.UPPER;
            }
            if (value == null) {
                throw new IllegalStateException("no sample for " + type + "." + f.getName());
            }
            f.set(header, value);
        }
        return header;
    }

    static byte[] frame(RemotingCommand command, SerializeType serialize) {
        command.setOpaque(OPAQUE);
        command.setSerializeTypeCurrentRPC(serialize);
        ByteBuffer buffer = command.encode();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    @SuppressWarnings("unchecked")
    static Class<? extends CommandCustomHeader> find(String simpleName) throws ClassNotFoundException {
        for (String sub : SUB_PACKAGES) {
            try {
                return (Class<? extends CommandCustomHeader>) Class.forName(PACKAGE + sub + simpleName);
            } catch (ClassNotFoundException e) {
                // The next package.
            }
        }
        throw new ClassNotFoundException(simpleName);
    }

    static List<String[]> codes() throws IOException {
        List<String[]> rows = new ArrayList<>();
        try (InputStream in = Frames.class.getResourceAsStream("/codes.csv");
             BufferedReader reader = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8))) {
            reader.readLine();
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                rows.add(line.split(",", -1));
            }
        }
        return rows;
    }

    /** Commands without a header class: flags, remarks, languages, extFields, bodies. */
    private static void commands(PrintWriter out) throws Exception {
        for (SerializeType serialize : SerializeType.values()) {
            RemotingCommand plain = RemotingCommand.createRequestCommand(106, null);
            command(out, "no header", plain, serialize);

            RemotingCommand oneway = RemotingCommand.createRequestCommand(15, null);
            oneway.markOnewayRPC();
            command(out, "oneway", oneway, serialize);

            RemotingCommand body = RemotingCommand.createRequestCommand(10, null);
            body.setBody(new byte[] {0, 1, (byte) 0xff, 10});
            command(out, "body", body, serialize);

            RemotingCommand empty = RemotingCommand.createRequestCommand(10, null);
            empty.setBody(new byte[0]);
            empty.setExtFields(new HashMap<>());
            command(out, "empty body and empty extFields", empty, serialize);

            RemotingCommand fields = RemotingCommand.createRequestCommand(10, null);
            fields.addExtField("AccessKey", "key");
            fields.addExtField("awkward", Sample.AWKWARD);
            fields.addExtField("empty", "");
            command(out, "extFields", fields, serialize);

            command(out, "answer", RemotingCommand.createResponseCommand(0, null), serialize);
            command(out, "answer with remark", RemotingCommand.createResponseCommand(17, Sample.AWKWARD), serialize);
            command(out, "answer with empty remark", RemotingCommand.createResponseCommand(1, ""), serialize);

            for (LanguageCode language : LanguageCode.values()) {
                RemotingCommand spoken = RemotingCommand.createRequestCommand(34, null);
                spoken.setLanguage(language);
                command(out, "language " + language, spoken, serialize);
            }
            for (int version : new int[] {0, 232, 317, 401, 513, 32767}) {
                RemotingCommand versioned = RemotingCommand.createRequestCommand(34, null);
                versioned.setVersion(version);
                command(out, "version " + version, versioned, serialize);
            }
        }
    }

    private static void command(PrintWriter out, String what, RemotingCommand command, SerializeType serialize) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("what", what);
        line.put("serialize", serialize.name());
        line.put("frame", Sample.hex(frame(command, serialize)));
        line.putAll(describe(command));
        out.println(Json.write(line));
    }

    static Map<String, Object> describe(RemotingCommand command) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("code", command.getCode());
        line.put("language", command.getLanguage() == null ? null : command.getLanguage().name());
        line.put("version", command.getVersion());
        line.put("opaque", command.getOpaque());
        line.put("flag", command.getFlag());
        line.put("remark", command.getRemark());
        line.put("extFields", command.getExtFields() == null ? null : new TreeMap<>(command.getExtFields()));
        line.put("body", command.getBody() == null ? null : Sample.hex(command.getBody()));
        return line;
    }
}
