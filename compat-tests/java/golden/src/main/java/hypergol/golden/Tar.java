package hypergol.golden;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;

/** Packs a folder: ustar in gzip, names sorted. */
final class Tar {
    /** 2100-01-01: a broker that opens the folder must not think its files expired. */
    private static final long MODIFIED_S = 4_102_444_800L;

    private Tar() {
    }

    static void pack(Path folder, Predicate<String> wanted, Path archive) throws IOException {
        List<Path> paths;
        try (Stream<Path> walk = Files.walk(folder)) {
            paths = walk.sorted().collect(Collectors.toList());
        }
        try (OutputStream file = Files.newOutputStream(archive);
             OutputStream out = new GZIPOutputStream(file, 65536) {
                 {
                     def.setLevel(9);
                 }
             }) {
            for (Path path : paths) {
                String name = folder.relativize(path).toString();
                if (name.isEmpty() || !wanted.test(name)) {
                    continue;
                }
                boolean directory = Files.isDirectory(path);
                long size = directory ? 0 : Files.size(path);
                out.write(header(directory ? name + "/" : name, size, directory));
                if (!directory) {
                    try (InputStream in = Files.newInputStream(path)) {
                        in.transferTo(out);
                    }
                    new ByteArrayInputStream(new byte[(int) ((512 - size % 512) % 512)]).transferTo(out);
                }
            }
            out.write(new byte[1024]);
        }
    }

    private static byte[] header(String name, long size, boolean directory) {
        byte[] h = new byte[512];
        if (name.length() > 100) {
            throw new IllegalArgumentException(name);
        }
        put(h, 0, name);
        put(h, 100, directory ? "0000755" : "0000644");
        put(h, 108, "0000000");
        put(h, 116, "0000000");
        put(h, 124, String.format("%011o", size));
        put(h, 136, String.format("%011o", MODIFIED_S));
        put(h, 148, "        ");
        h[156] = (byte) (directory ? '5' : '0');
        put(h, 257, "ustar");
        put(h, 263, "00");
        int sum = 0;
        for (byte b : h) {
            sum += b & 0xff;
        }
        put(h, 148, String.format("%06o", sum));
        h[154] = 0;
        return h;
    }

    private static void put(byte[] h, int at, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
        System.arraycopy(bytes, 0, h, at, bytes.length);
    }
}
