import java.io.*;
import java.net.*;
import java.nio.channels.*;
import java.util.ArrayList;
import static java.nio.charset.StandardCharsets.UTF_8;

/** Redis commands over a plain socket, for a place without a client library: one connection, one thread. */
class Redis implements Closeable {
    private final SocketChannel socket;
    private final InputStream in;

    Redis(URI at) throws IOException {
        socket = SocketChannel.open(at.getScheme().equals("unix") ? UnixDomainSocketAddress.of(at.getPath())
            : new InetSocketAddress(at.getHost(), at.getPort()));
        in = new BufferedInputStream(Channels.newInputStream(socket));
    }
    /** Sends a command. Its reply is a String (a number, too), a List of replies, or null. */
    Object call(String... words) throws IOException {
        var text = new StringBuilder("*" + words.length + "\r\n");
        for (var word : words) text.append("$" + word.getBytes(UTF_8).length + "\r\n" + word + "\r\n");
        for (var bytes = UTF_8.encode(text.toString()); bytes.hasRemaining();) socket.write(bytes);
        return reply();
    }
    private Object reply() throws IOException {
        var line = new StringBuilder();
        for (int b; (b = in.read()) != '\n'; line.append((char) b)) if (b < 0) throw new EOFException("Redis is gone");
        var kind = line.charAt(0);
        var value = line.substring(1).strip();
        if (kind == '-') throw new IOException(value);
        if (kind != '$' && kind != '*') return value;
        var size = Integer.parseInt(value);
        if (size < 0) return null;
        if (kind == '$') return new String(in.readNBytes(size + 2), 0, size, UTF_8); // the line end, too
        var replies = new ArrayList<Object>();
        while (replies.size() < size) replies.add(reply());
        return replies;
    }
    @Override public void close() throws IOException { socket.close(); }
}
