using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Text;

/// <summary>Redis commands over a plain socket, where no client library may be had: one connection, one thread.</summary>
sealed class Redis : IDisposable {
    readonly TcpClient socket;
    readonly BinaryReader input;

    public Redis(Uri at) {
        socket = new TcpClient(at.Host, at.Port);
        input = new BinaryReader(new BufferedStream(socket.GetStream()));
    }

    /// <summary>Sends a command. Its reply is a string (a number, too), a list of replies, or null.</summary>
    public object Call(params string[] words) {
        var parts = words.Select(word => $"${Encoding.UTF8.GetByteCount(word)}\r\n{word}\r\n");
        var bytes = Encoding.UTF8.GetBytes($"*{words.Length}\r\n{string.Concat(parts)}");
        socket.GetStream().Write(bytes, 0, bytes.Length);
        return Reply();
    }

    object Reply() {
        var line = new StringBuilder();
        for (byte b; (b = input.ReadByte()) != '\n';) line.Append((char)b);
        string kind = line.ToString(0, 1), value = line.ToString(1, line.Length - 2);
        if (kind == "-") throw new InvalidOperationException(value);
        if (kind != "$" && kind != "*") return value;
        var size = int.Parse(value);
        if (size < 0) return null;
        if (kind == "$") return Encoding.UTF8.GetString(input.ReadBytes(size + 2), 0, size); // the line end, too
        return Enumerable.Range(0, size).Select(_ => Reply()).ToList();
    }

    public void Dispose() => socket.Dispose();
}
