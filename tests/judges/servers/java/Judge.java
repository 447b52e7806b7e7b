import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import jakarta.servlet.MultipartConfigElement;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.File;
import java.io.IOException;
import java.util.Arrays;
import java.util.function.Function;
import javax.xml.parsers.DocumentBuilderFactory;
import org.apache.catalina.Context;
import org.apache.catalina.Wrapper;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;
import org.w3c.dom.NodeList;

/**
 * Tomcat with servlets by prefix, by suffix and by exact path. Arguments: the
 * port, a directory to work in, and "lenient" for a connector that lets %2F,
 * %5C and a backslash through, as operators set it.
 */
public class Judge {
	interface Decide {
		String handler(HttpServletRequest r) throws Exception;
	}

	static class Servlet extends HttpServlet {
		private final Decide decide;

		Servlet(Decide decide) {
			this.decide = decide;
		}

		@Override
		protected void service(HttpServletRequest r, HttpServletResponse w) throws ServletException, IOException {
			String handler;
			try {
				handler = decide.handler(r);
			} catch (Exception e) {
				handler = "PUBLIC";
				w.setStatus(400);
			}
			w.setHeader("X-Ran", handler);
			w.setContentType("application/json");
			w.getOutputStream().print("{\"handler\":\"" + handler + "\"}");
		}
	}

	static final ObjectMapper json = new ObjectMapper();

	/** The values of op: parameters, and what JSON or XML says where it is labeled. */
	static String[] values(HttpServletRequest r) throws Exception {
		String type = String.valueOf(r.getContentType());
		if (type.startsWith("multipart/form-data")) {
			r.getParts();
		}
		if (type.contains("json")) {
			JsonNode op = json.readTree(r.getInputStream().readAllBytes()).get("op");
			return op == null ? new String[0] : new String[] {op.asText()};
		}
		if (type.contains("xml")) {
			NodeList ops = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(r.getInputStream()).getElementsByTagName("op");
			String[] all = new String[ops.getLength()];
			for (int i = 0; i < all.length; i++) {
				all[i] = ops.item(i).getTextContent();
			}
			return all;
		}
		String[] all = r.getParameterValues("op");
		return all == null ? new String[0] : all;
	}

	static String method(HttpServletRequest r) throws Exception {
		JsonNode m = json.readTree(r.getInputStream().readAllBytes()).get("method");
		return m == null ? null : m.asText();
	}

	static void map(Context context, String name, Decide decide, String... patterns) {
		Wrapper w = Tomcat.addServlet(context, name, new Servlet(decide));
		w.setMultipartConfigElement(new MultipartConfigElement(System.getProperty("java.io.tmpdir")));
		for (String pattern : patterns) {
			w.addMapping(pattern);
		}
	}

	public static void main(String[] args) throws Exception {
		boolean lenient = args.length > 2 && args[2].equals("lenient");
		Tomcat tomcat = new Tomcat();
		tomcat.setBaseDir(args[1]);
		Connector c = new Connector();
		c.setPort(Integer.parseInt(args[0]));
		c.setProperty("address", "127.0.0.1");
		c.setProperty("keepAliveTimeout", "120000");
		c.setProperty("maxKeepAliveRequests", "-1");
		c.setProperty("maxThreads", "8");
		c.setParseBodyMethods("POST,PUT,PATCH,DELETE");
		if (lenient) {
			c.setProperty("relaxedPathChars", "\\\"<>[]^`{|}");
			c.setProperty("relaxedQueryChars", "\\\"<>[]^`{|}");
			c.setProperty("encodedSolidusHandling", "decode");
			c.setProperty("encodedReverseSolidusHandling", "decode");
			c.setProperty("allowBackslash", "true");
		}
		tomcat.setConnector(c);
		Context context = tomcat.addContext("", new File(args[1]).getAbsolutePath());
		Function<String, Decide> fixed = handler -> r -> handler;
		map(context, "admin", fixed.apply("ADMIN"), "/admin/*");
		map(context, "transfer", fixed.apply("TRANSFER"), "/transfer/*");
		map(context, "exact", fixed.apply("EXACT"), "/exact");
		map(context, "view", fixed.apply("VIEW"), "/view/*");
		map(context, "suffix", fixed.apply("SUFFIX"), "*.do");
		map(context, "item", r -> r.getMethod().equals("DELETE") ? "ERASE" : "PUBLIC", "/item/*");
		map(context, "app", r -> Arrays.stream(values(r)).anyMatch(v -> v.equals("withdraw") || v.equals("pay")) ? "FORM" : "PUBLIC", "/app");
		map(context, "neg", r -> Arrays.stream(values(r)).anyMatch(v -> !v.equals("login")) ? "NEG" : "PUBLIC", "/neg");
		map(context, "rpc", r -> "torrent-remove".equals(method(r)) ? "RPC" : "PUBLIC", "/rpc");
		map(context, "rpcneg", r -> {
			String m = method(r);
			return m != null && !m.equals("torrent-get") ? "RPCNEG" : "PUBLIC";
		}, "/rpcneg");
		map(context, "other", fixed.apply("PUBLIC"), "/");
		tomcat.start();
		tomcat.getServer().await();
	}
}
