import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.rest.server.FifoMemoryPagingProvider;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.HashMapResourceProvider;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.hl7.fhir.instance.model.api.IBaseResource;

/** HAPI FHIR's own server over memory, every R4 type, small pages. Prints its address when it serves. */
public class Main {
    private static final int PAGE = 3;

    public static void main(String[] arguments) throws Exception {
        FhirContext context = FhirContext.forR4();
        RestfulServer fhir = new RestfulServer(context);
        for (String type : context.getResourceTypes()) {
            Class<? extends IBaseResource> shape = context.getResourceDefinition(type).getImplementingClass();
            fhir.registerProvider(new HashMapResourceProvider<>(context, shape));
        }
        FifoMemoryPagingProvider pages = new FifoMemoryPagingProvider(10);
        pages.setDefaultPageSize(PAGE);
        pages.setMaximumPageSize(PAGE);
        fhir.setPagingProvider(pages);
        Server server = new Server();
        ServerConnector connector = new ServerConnector(server);
        connector.setHost("127.0.0.1");
        server.addConnector(connector);
        ServletContextHandler handler = new ServletContextHandler();
        handler.addServlet(new ServletHolder(fhir), "/fhir/*");
        server.setHandler(handler);
        server.start();
        System.out.println("http://127.0.0.1:" + connector.getLocalPort() + "/fhir");
        server.join();
    }
}
