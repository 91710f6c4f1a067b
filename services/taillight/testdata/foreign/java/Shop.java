import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.concurrent.Executors;

/** A shop that knows nothing of tests, traces or profiles. */
public final class Shop {
  private static final String PATH = "/orders/";

  private Shop() {}

  public static void main(String[] args) throws IOException {
    int port = Integer.parseInt(System.getenv("PORT"));
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 128);
    server.createContext(PATH, Shop::order);
    server.setExecutor(Executors.newFixedThreadPool(16));
    server.start();
  }

  private static void order(HttpExchange exchange) throws IOException {
    String number = exchange.getRequestURI().getPath().substring(PATH.length());
    byte[] body;
    try {
      Thread.sleep(2);
      body = ("{\"order\":" + number + ",\"price\":\"" + priceOrder(number) + "\"}").getBytes(StandardCharsets.UTF_8);
    } catch (InterruptedException | NoSuchAlgorithmException e) {
      throw new IOException(e);
    }
    try (exchange) {
      exchange.getResponseHeaders().set("Content-Type", "application/json");
      exchange.sendResponseHeaders(200, body.length);
      exchange.getResponseBody().write(body);
    }
  }

  /** Works for some milliseconds. */
  private static String priceOrder(String number) throws NoSuchAlgorithmException {
    MessageDigest sha = MessageDigest.getInstance("SHA-256");
    byte[] digest = number.getBytes(StandardCharsets.UTF_8);
    for (int i = 0; i < 5000; i++) {
      digest = sha.digest(digest);
    }
    return String.format("%02x%02x%02x%02x", digest[0], digest[1], digest[2], digest[3]);
  }
}
