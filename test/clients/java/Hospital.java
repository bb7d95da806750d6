import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.rest.client.api.IGenericClient;
import ca.uhn.fhir.rest.client.api.ServerValidationModeEnum;
import ca.uhn.fhir.rest.client.interceptor.BearerTokenAuthInterceptor;
import org.hl7.fhir.r4.model.*;

/** A hospital deposits a document and finds it again, with HAPI's client. Arguments: BASE TOKEN PATIENT. */
public class Hospital {
  public static void main(String[] a) {
    FhirContext context = FhirContext.forR4();
    context.getRestfulClientFactory().setServerValidationMode(ServerValidationModeEnum.NEVER);
    IGenericClient client = context.newRestfulGenericClient(a[0]);
    client.registerInterceptor(new BearerTokenAuthInterceptor(a[1]));
    DocumentReference document = new DocumentReference();
    document.setStatus(Enumerations.DocumentReferenceStatus.CURRENT);
    document.getType().addCoding().setSystem("http://loinc.org").setCode("34112-3");
    document.getSubject().setReference("Patient/" + a[2]);
    document.addContent().getAttachment().setContentType("text/plain").setData("Compte rendu".getBytes());
    String id = client.create().resource(document).execute().getId().getIdPart();
    Bundle found = client.search().forResource(DocumentReference.class).where(DocumentReference.PATIENT.hasId(a[2])).and(DocumentReference.STATUS.exactly().code("current")).returnBundle(Bundle.class).execute();
    boolean there = found.getEntry().stream().anyMatch(e -> e.getResource().getIdElement().getIdPart().equals(id));
    if (!there) throw new IllegalStateException("the document is not found");
    DocumentReference again = client.read().resource(DocumentReference.class).withId(id).execute();
    Binary binary = client.read().resource(Binary.class).withId(again.getContentFirstRep().getAttachment().getUrl().replace("Binary/", "")).execute();
    if (!new String(binary.getData()).equals("Compte rendu")) throw new IllegalStateException("the bytes differ");
    System.out.println("java: deposited, found, read " + id);
  }
}
